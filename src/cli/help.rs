//! Help: the arguments as clap shows them, so that texts fit the width of the terminal.

use clap::{Command, CommandFactory as _};

use super::Cli;

/// Returns the whole command line.
pub(super) fn command() -> Command {
    laid_out(Cli::command())
}

/// Has clap break the lines of what stands below the options: those in the source are as long as the source's lines.
fn laid_out(command: Command) -> Command {
    let below = command.get_after_help().map(|text| flowing(&text.to_string()));
    let command = match below {
        Some(text) => command.after_help(text),
        None => command,
    };
    command.mut_subcommands(laid_out)
}

/// Joins the lines of a paragraph. Lines that begin with a space are examples and stay; clap takes the space of the
/// first line away, so they get a heading.
fn flowing(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
    if text.starts_with(' ') {
        whole.push_str("Examples:");
    }
    let mut before = "";
    for line in text.lines() {
        let goes_on = !line.is_empty() && !before.is_empty();
        match goes_on && !line.starts_with(' ') && !before.starts_with(' ') {
            true => whole.push(' '),
            false if whole.is_empty() => {}
            false => whole.push('\n'),
        }
        whole.push_str(line);
        before = line;
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_paragraph_are_joined_and_examples_are_left_alone() {
        let text = "One\ntwo:\n  a  b\n  c\nthree\n\nfour";
        assert_eq!(flowing(text), "One two:\n  a  b\n  c\nthree\n\nfour");
        assert_eq!(flowing("  a\n  b\n\nOne\ntwo"), "Examples:\n  a\n  b\n\nOne two");
    }

    #[test]
    fn a_verbs_own_options_come_before_those_of_every_verb() {
        let help = command().try_get_matches_from(["rebeam", "build", "--help"]);
        let help = help.unwrap_err().to_string();
        let (own, all) = help.split_once("For every verb:").unwrap();
        assert!(own.contains("--locked") && !own.contains("--store"), "{help}");
        assert!(all.contains("--store") && !all.contains("--locked"), "{help}");
    }
}
