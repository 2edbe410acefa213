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
    pub(super) fn run(self, mut command: Command) -> Result<u8, Failure> {
        command.build();
        let Some(directory) = self.directory else {
            terminal::raw(&page(&command, Path::new("rebeam.1"))?);
            return Ok(0);
        };
        disk::create_dir_all(&directory)?;
        write(&directory, &command, "rebeam")?;
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            write(&directory, verb, &format!("rebeam-{}", verb.get_name()))?;
        }
        Ok(0)
    }
}

fn write(directory: &Path, command: &Command, name: &str) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    // A page's title is the command's name; clap wants names that live as long as the program.
    let command = command.clone().name(name.to_owned());
    Ok(disk::write_atomic(&path, &page(&command, &path)?)?)
}

fn page(command: &Command, path: &Path) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    Page::new(command.clone()).render(&mut text).map_err(refused("write", path))?;
    Ok(text)
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
