//! Cause: why two things differ, as one of a few reasons that can be counted and mended.

/// How much a difference says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// What runs is the same.
    Form,
    /// What runs may differ.
    Meaning,
}

/// Why two things differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The code of a module or program.
    Code,
    /// A module's attributes.
    Attributes,
    /// Terms of a configuration, application or release file.
    Terms,
    /// Lines of a text.
    Text,
    /// Bytes of no known kind.
    Bytes,
    /// The image's configuration, manifest or names.
    Settings,
    /// It stands in one only.
    Presence,
    /// One is a file and the other is not.
    Kind,
    /// The target of a link.
    Target,
    /// Permission bits.
    Mode,
    /// User or group.
    Owner,
    /// Something of the room in which the second was built: its host name, its time zone.
    Room(&'static str),
    /// The directory of the build in what runs, as `?FILE` and `__FILE__` put it there.
    PathInside,
    /// A secret that was made up for one build.
    Cookie,
    /// Debug information.
    Debug,
    /// The version of the compiler.
    Compiler,
    /// The options of the compiler.
    Options,
    /// The directory of the build, where only people and debuggers read it.
    Path,
    /// Line numbers.
    Lines,
    /// Documentation.
    Documentation,
    /// An id that the linker makes of everything else.
    BuildId,
    /// Times.
    Time,
    /// The order of what has no order.
    Order,
    /// How it was compressed.
    Compression,
    /// Spaces, comments, padding.
    Layout,
    /// It follows from another difference.
    Consequence,
}

impl Cause {
    /// Tells whether what runs may differ.
    pub fn weight(self) -> Weight {
        match self {
            Self::Code
            | Self::Attributes
            | Self::Terms
            | Self::Text
            | Self::Bytes
            | Self::Settings
            | Self::Presence
            | Self::Kind
            | Self::Target
            | Self::Mode
            | Self::Owner
            | Self::Room(_)
            | Self::PathInside
            | Self::Cookie => Weight::Meaning,
            Self::Compiler
            | Self::Options
            | Self::Path
            | Self::Lines
            | Self::Debug
            | Self::Documentation
            | Self::BuildId
            | Self::Time
            | Self::Order
            | Self::Compression
            | Self::Layout
            | Self::Consequence => Weight::Form,
        }
    }

    /// Returns the cause in words.
    pub fn words(self) -> String {
        match self {
            Self::Code => "code",
            Self::Attributes => "attributes",
            Self::Terms => "terms",
            Self::Text => "other lines",
            Self::Bytes => "other bytes",
            Self::Settings => "settings",
            Self::Presence => "in one only",
            Self::Kind => "kind of entry",
            Self::Target => "target of a link",
            Self::Mode => "permissions",
            Self::Owner => "owner",
            Self::Room(what) => return format!("{what} of the room it was built in"),
            Self::PathInside => "compile path in the code (`?FILE`, `__FILE__`)",
            Self::Cookie => "a cookie made up for one build",
            Self::Compiler => "version of the compiler",
            Self::Options => "options of the compiler",
            Self::Path => "compile path",
            Self::Lines => "line numbers",
            Self::Debug => "debug information",
            Self::Documentation => "documentation",
            Self::BuildId => "build id",
            Self::Time => "times",
            Self::Order => "order",
            Self::Compression => "compression",
            Self::Layout => "layout",
            Self::Consequence => "follows from the rest",
        }
        .to_owned()
    }

    /// Returns what mends it, where one thing does.
    pub fn remedy(self) -> Option<&'static str> {
        Some(match self {
            Self::Path | Self::Options => {
                "set `deterministic` (`{erl_opts, [deterministic]}`), or build both in one directory"
            }
            Self::PathInside => {
                "build both in one directory, or give the compiler `-ffile-prefix-map`"
            }
            Self::Compiler => "build both with one toolchain",
            Self::Time => "set SOURCE_DATE_EPOCH, or leave the time out",
            Self::Order => "sort before writing",
            Self::BuildId => "link with `-Wl,--build-id=none`, or mend what else differs",
            Self::Cookie => "leave `releases/COOKIE` out; give the cookie when the node starts",
            Self::Compression => "one program and level packs the same bytes the same",
            Self::Room(_) => "find the tool that writes it into its output",
            Self::Mode | Self::Owner => "set them when packing, not by umask or user",
            _ => return None,
        })
    }

    /// A short name that programs can rely on.
    pub fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Attributes => "attributes",
            Self::Terms => "terms",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Settings => "settings",
            Self::Presence => "presence",
            Self::Kind => "kind",
            Self::Target => "target",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Room(_) => "room",
            Self::PathInside => "path-inside",
            Self::Cookie => "cookie",
            Self::Compiler => "compiler",
            Self::Options => "options",
            Self::Path => "path",
            Self::Lines => "lines",
            Self::Debug => "debug",
            Self::Documentation => "documentation",
            Self::BuildId => "build-id",
            Self::Time => "time",
            Self::Order => "order",
            Self::Compression => "compression",
            Self::Layout => "layout",
            Self::Consequence => "consequence",
        }
    }
}
