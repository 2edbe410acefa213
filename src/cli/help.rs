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

/// Joins the lines of a paragraph. Lines that begin with a space are examples and stay.
fn flowing(text: &str) -> String {
    let mut whole = String::with_capacity(text.len());
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
    use std::path::{Path, PathBuf};

    use clap::error::{ContextKind, ContextValue, ErrorKind};

    use super::*;

    #[test]
    fn lines_of_a_paragraph_are_joined_and_examples_are_left_alone() {
        let text = "One\ntwo:\n  a  b\n  c\nthree\n\nfour";
        assert_eq!(flowing(text), "One two:\n  a  b\n  c\nthree\n\nfour");
    }

    #[test]
    fn a_verbs_own_options_come_before_those_of_every_verb() {
        let help = command().try_get_matches_from(["rebeam", "build", "--help"]);
        let help = help.unwrap_err().to_string();
        let (own, all) = help.split_once("For every verb:").unwrap();
        assert!(own.contains("--locked") && !own.contains("--store"), "{help}");
        assert!(all.contains("--store") && !all.contains("--locked"), "{help}");
    }

    /// Every verb, and every verb below one.
    fn verbs(command: &Command) -> Vec<&Command> {
        let below = command.get_subcommands().filter(|verb| verb.get_name() != "help");
        std::iter::once(command).chain(below.flat_map(verbs)).collect()
    }

    #[test]
    fn whatever_can_be_given_is_explained() {
        let command = command();
        for verb in verbs(&command).into_iter().filter(|verb| !verb.is_hide_set()) {
            assert!(verb.get_about().is_some(), "{}", verb.get_name());
            for argument in verb.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let (verb, argument, help) =
                    (verb.get_name(), argument.get_id(), argument.get_help());
                assert!(help.is_some(), "`{argument}` of `{verb}` says nothing");
            }
        }
    }

    #[test]
    fn examples_keep_their_place_below_a_line_that_announces_them() {
        let command = command();
        for verb in verbs(&command) {
            let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in text.lines() {
                assert!(!line.starts_with("rebeam "), "{}: {line}", verb.get_name());
                // Two blanks within a paragraph are a table that the joining of its lines would tear apart.
                assert!(
                    line.starts_with(' ') || !line.contains("  "),
                    "{}: {line}",
                    verb.get_name()
                );
            }
        }
    }

    /// What tells people which commands to type: the documents, the help, the hints of errors.
    fn writings(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let ending = path.extension().unwrap_or_default();
            match path.is_dir() {
                true if path.file_name().is_some_and(|name| name != "target") => {
                    writings(&path, found);
                }
                false if ending == "rs" || ending == "md" => found.push(path),
                _ => {}
            }
        }
    }

    /// The commands of a text: between backticks, behind a prompt, or in an indented example.
    fn commands(text: &str) -> Vec<String> {
        let mut found: Vec<String> = text
            .split('`')
            .filter(|piece| piece.starts_with("rebeam ") && !piece.contains('\n'))
            .map(str::to_owned)
            .collect();
        for line in text.lines() {
            let told = line.strip_prefix("$ ").or_else(|| line.strip_prefix("  "));
            // Without either it is a command only if a comment stands behind it, and else the text of a document.
            let Some(line) = told.or_else(|| line.contains("  # ").then_some(line)) else {
                continue;
            };
            if line.starts_with("rebeam ") && !line.contains('`') {
                // What stands behind two blanks explains the command.
                let line = line.split("  ").next().unwrap().trim_end_matches([')', ']', '"', ';']);
                found.extend(line.split(" && ").map(str::to_owned));
            }
        }
        found
    }

    /// A command as a shell would hand it over, where that is a command and not a way to speak of several.
    fn words(command: &str) -> Option<Vec<String>> {
        let command = command.split('…').next().unwrap().replace("\\\"", "\"");
        let mut words = vec![String::new()];
        let mut quote = None;
        for c in command.split(" #").next().unwrap().trim().chars() {
            match c {
                '\'' | '"' if quote.is_none() => quote = Some(c),
                _ if quote == Some(c) => quote = None,
                ' ' if quote.is_none() => words.push(String::new()),
                '[' | ']' if quote.is_none() => {}
                _ => words.last_mut().unwrap().push(c),
            }
        }
        let is_choice = |word: &String| word.contains(['|', '{']);
        (quote.is_none() && !words.iter().any(is_choice)).then_some(words)
    }

    #[test]
    fn every_command_that_people_are_told_to_type_exists() {
        let mut files = Vec::new();
        writings(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path(), &mut files);
        let documents = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
        files.extend(documents.map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join(name)));
        let (mut seen, mut wrong) = (0, Vec::new());
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for words in commands(&text).iter().filter_map(|command| words(command)) {
                seen += 1;
                let Err(error) = command().try_get_matches_from(&words) else { continue };
                // Who speaks of a verb or an option need not say what it is given, or says `SECONDS`.
                let is_unfinished = match (error.kind(), error.get(ContextKind::InvalidValue)) {
                    (
                        ErrorKind::MissingSubcommand
                        | ErrorKind::MissingRequiredArgument
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                        _,
                    ) => true,
                    (
                        ErrorKind::InvalidValue | ErrorKind::ValueValidation,
                        Some(ContextValue::String(given)),
                    ) => given.chars().all(|c| c.is_ascii_uppercase()),
                    _ => false,
                };
                if !is_unfinished {
                    wrong.push(format!("{}: {}: {error}", file.display(), words.join(" ")));
                }
            }
        }
        assert!(seen > 200, "only {seen} commands were found");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
