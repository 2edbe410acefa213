//! Mix: what the text of a `mix.exs` tells without being run: a name and a version to begin with.

/// What `mix.exs` says of its project, as far as that is written out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MixProject {
    /// `app: :shop`.
    pub app: Option<String>,
    /// `version: "0.1.0"`, or `@version "0.1.0"`.
    pub version: Option<String>,
    /// Whether `apps_path:` is there.
    pub is_umbrella: bool,
}

/// Reads the text of a `mix.exs`.
pub(super) fn read(text: &str) -> MixProject {
    let lines = || text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let behind = |key: &str| lines().find_map(|line| Some(line.split_once(key)?.1.trim_start()));
    let app = behind("app: :").map(|rest| name(rest).to_owned());
    let quoted = |rest: &str| Some(rest.strip_prefix('"')?.split_once('"')?.0.to_owned());
    let written = behind("version:").and_then(quoted);
    let attribute = behind("@version ").and_then(quoted);
    MixProject {
        app: app.filter(|app| !app.is_empty()),
        version: written.or(attribute).filter(|version| !version.contains("#{")),
        is_umbrella: behind("apps_path:").is_some(),
    }
}

fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_version_are_read_where_they_are_written_out() {
        let plain =
            read("def project do\n  [\n    app: :shop,\n    version: \"1.2.0\", # soon 2.0\n  ]");
        assert_eq!((plain.app.as_deref(), plain.version.as_deref()), (Some("shop"), Some("1.2.0")));
        let attribute =
            read("  @version \"0.3.1\"\n  def project, do: [app: :a_b, version: @version]");
        assert_eq!(attribute.version.as_deref(), Some("0.3.1"));
        let umbrella = read("[apps_path: \"apps\", version: version()]");
        assert_eq!(umbrella, MixProject { is_umbrella: true, ..MixProject::default() });
        assert_eq!(read("# app: :no"), MixProject::default());
    }
}
