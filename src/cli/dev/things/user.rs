//! `rebeam dev user`: who owns things.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Asking, shown};
use crate::cli::Common;
use crate::dev::Place;
use crate::dev::things::Api;
use crate::explain::Failure;
use crate::http::Method;
use crate::terminal;

#[derive(Debug, Args)]
#[command(after_help = "\
Every stack has a user of its own from the start, whose password lies beside the stack's state; the verbs of things ask
in its name. Others are made with a password from --password-file or REBEAM_THINGS_PASSWORD.

  curl -H \"Authorization: $(rebeam dev user token)\" http://127.0.0.1:8080/things")]
pub(in crate::cli::dev) struct User {
    #[command(flatten)]
    asking: Asking,
    #[command(subcommand)]
    verb: UserVerb,
}

#[derive(Debug, Subcommand)]
enum UserVerb {
    /// Register a user
    #[command(visible_alias = "add")]
    Create { email: String },
    /// Show who asks
    Show,
    /// Print a token for HTTP's `Authorization`; it is good for ten hours
    Token,
}

impl User {
    pub(in crate::cli::dev) fn run(self, common: &Common, place: &Place) -> Result<u8, Failure> {
        match self.verb {
            UserVerb::Create { email } => {
                let body = json!({ "email": email, "password": self.asking.password()? });
                Api::find(place)?.call(Method::Post, "/users", Some(&body))?;
            }
            UserVerb::Show => {
                let api = self.asking.api(place)?;
                shown(common, &api.call(Method::Get, "/users", None)?.body);
            }
            UserVerb::Token => {
                terminal::data(self.asking.api(place)?.own_token().unwrap_or_default());
            }
        }
        Ok(0)
    }
}
