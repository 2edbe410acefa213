//! Defaults: what the stack on one's desk is where no file says anything, as values like those of files.

use super::stack::{StackValue, StackWish};
use super::{Profile, Runs};

/// How the origin of a value is told that nobody said.
const DEFAULT: &str = "default";

impl StackWish {
    /// Returns every value: those of files and profiles, and the defaults of the rest, by table and key.
    pub fn all_values(&self) -> Vec<StackValue> {
        let mut all = self.values.clone();
        for value in self.defaults() {
            let is_it = |one: &StackValue| (&one.table, &one.key) == (&value.table, &value.key);
            if !all.iter().any(is_it) {
                all.push(value);
            }
        }
        all.sort_by(|a, b| (&a.table, &a.key).cmp(&(&b.table, &b.key)));
        all
    }

    /// What stands in the wish where nobody said it is a default, so nothing is said twice here.
    fn defaults(&self) -> Vec<StackValue> {
        let mut values = Vec::new();
        let mut put = |table: &str, key: &str, value: String, origin: &str| {
            let (table, key, origin) = (table.to_owned(), key.to_owned(), origin.to_owned());
            values.push(StackValue { table, key, value, origin });
        };
        let text = |text: &str| format!("\"{text}\"");
        let dev = &self.dev;
        if let Some(profile) = dev.profile {
            put("dev", "profile", text(profile.name()), "--profile");
        }
        put("dev", "release", dev.release.to_string(), DEFAULT);
        let access = &dev.access;
        put("dev.access", "provider", text(access.provider.name()), DEFAULT);
        put("dev.access", "anonymous", text(access.anonymous.name()), DEFAULT);
        let nomatch = if access.nomatch_allows { "allow" } else { "deny" };
        put("dev.access", "nomatch", text(nomatch), DEFAULT);
        let denied = if access.denies_as_emqttd { "silent" } else { "told" };
        put("dev.access", "denied", text(denied), DEFAULT);
        put("dev.events", "forward", "[]".into(), DEFAULT);
        put("dev.events", "index", text("mqtt"), DEFAULT);
        let (decides, origin) = match dev.profile {
            Some(Profile::Mainflux) => (true, "profile mainflux"),
            _ => (false, DEFAULT),
        };
        put("dev.things", "decide", decides.to_string(), origin);
        let is_thing = dev.things.username_is_thing;
        put("dev.things", "username-is-thing", is_thing.to_string(), DEFAULT);
        for (name, wish) in &self.services {
            let table = format!("services.{name}");
            if let Runs::Server(server) = wish.runs {
                put(&table, "ports", format!("[{}]", server.port()), DEFAULT);
            }
            put(&table, "restart", text(wish.restart.name()), DEFAULT);
            let ready = format!("{table}.ready");
            put(&ready, "timeout", wish.ready_timeout_s.to_string(), DEFAULT);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use crate::manifest;

    #[test]
    fn what_no_file_says_is_shown_with_its_origin() {
        let nothing = tempfile::tempdir().unwrap();
        let wish = manifest::stack(nothing.path(), &[], None).unwrap();
        let said = |wish: &manifest::StackWish| -> Vec<String> {
            let line = |one: &manifest::StackValue| {
                format!("{}.{} = {} # {}", one.table, one.key, one.value, one.origin)
            };
            wish.all_values().iter().map(line).collect()
        };
        let lines = said(&wish);
        for line in ["dev.release = true # default", "dev.access.provider = \"open\" # default"] {
            assert!(lines.iter().any(|one| one == line), "{lines:?}");
        }
        let file = nothing.path().join("mine.toml");
        let text = "[dev]\nrelease = false\n[services.db]\nkind = \"redis\"\n";
        crate::disk::write_atomic(&file, text.as_bytes()).unwrap();
        let mainflux = Some(manifest::Profile::Mainflux);
        let wish = manifest::stack(nothing.path(), &[file], mainflux).unwrap();
        let lines = said(&wish).join("\n");
        assert!(lines.contains("mine.toml:2\n") && !lines.contains("release = true"), "{lines}");
        for line in [
            "dev.profile = \"mainflux\" # --profile",
            "dev.things.decide = true # profile mainflux",
            "services.db.ports = [6379] # default",
            "services.db.ready.timeout = 30 # default",
        ] {
            assert!(lines.contains(line), "{lines}");
        }
    }
}
