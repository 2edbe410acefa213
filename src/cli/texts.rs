//! `rebeam completions`, `rebeam man`, `rebeam schema`: texts about rebeam itself.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man as Page;

use crate::disk::{self, refused};
use crate::explain::Failure;
use crate::manifest;
use crate::terminal;

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut command: Command) -> Result<u8, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "rebeam", &mut script);
        terminal::raw(&script);
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write `rebeam.1` and a page for each verb here
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, command: Command) -> Result<u8, Failure> {
        let mut command = without_help(command);
        command.build();
        let Some(directory) = self.directory else {
            terminal::raw(&page(&command, Path::new("rebeam.1"))?);
            return Ok(0);
        };
        disk::create_dir_all(&directory)?;
        write(&directory, &command, "rebeam")?;
        Ok(0)
    }
}

/// Leaves the verb `help` out: its pages would be those of all others once more.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

/// Writes the pages of a command and of everything below it, which its own page refers to.
fn write(directory: &Path, command: &Command, name: &str) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    // A page's title is the command's name; clap wants names that live as long as the program.
    let titled = command.clone().name(name.to_owned());
    disk::write_atomic(&path, &page(&titled, &path)?)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        write(directory, verb, &format!("{name}-{}", verb.get_name()))?;
    }
    Ok(())
}

fn page(command: &Command, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    Page::new(command.clone()).render(&mut text).map_err(refused("write", path))?;
    Ok(with_examples_as_they_are(&String::from_utf8_lossy(&text)).into_bytes())
}

/// Keeps `man` from filling up the lines of examples as if they were a paragraph: they begin with a space.
fn with_examples_as_they_are(page: &str) -> String {
    let mut whole = String::with_capacity(page.len());
    let mut is_example = false;
    for line in page.lines() {
        if line.starts_with(' ') != is_example {
            is_example = !is_example;
            whole.push_str(if is_example { ".nf\n" } else { ".fi\n" });
        }
        whole.push_str(line);
        whole.push('\n');
    }
    whole
}

#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let text =
            serde_json::to_string_pretty(&manifest::json_schema()).expect("a schema is plain data");
        terminal::data(&text);
        Ok(0)
    }
}
