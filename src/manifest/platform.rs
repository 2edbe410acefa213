//! Platform: the machines that images are made for, as OCI and container runtimes name them.

/// A machine that an image is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARMv7 with hardware floating point: Debian's armhf.
    Armhf,
}

impl Platform {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Amd64, Self::Arm64, Self::Armhf];

    /// Returns the name that `--platform` takes, as container tools spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "linux/amd64",
            Self::Arm64 => "linux/arm64",
            Self::Armhf => "linux/arm/v7",
        }
    }

    /// Returns the short name that stands in the names of files; Debian's of the machine.
    pub fn short(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
        }
    }

    /// Reads a platform: `linux/arm64`, or the machine alone by any of its usual names.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.strip_prefix("linux/").unwrap_or(name) {
            "amd64" | "x86_64" => Some(Self::Amd64),
            "arm64" | "arm64/v8" | "aarch64" => Some(Self::Arm64),
            "arm/v7" | "arm" | "armhf" | "armv7" => Some(Self::Armhf),
            _ => None,
        }
    }

    /// Reads platforms between commas, as `--platform` takes them: sorted, each once. The error is the unknown name.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let read = |name: &str| Self::from_name(name).ok_or_else(|| name.to_owned());
        let mut platforms =
            text.split(',').map(|name| read(name.trim())).collect::<Result<Vec<_>, _>>()?;
        platforms.sort_unstable();
        platforms.dedup();
        Ok(platforms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_platform_reads_back_by_all_its_names() {
        for platform in Platform::ALL {
            for name in [platform.name(), platform.short(), &format!("linux/{}", platform.short())]
            {
                assert_eq!(Platform::from_name(name), Some(platform), "{name}");
            }
        }
        assert_eq!(Platform::from_name("linux/arm64/v8"), Some(Platform::Arm64));
        for wrong in
            ["", "linux", "linux/", "windows/amd64", "linux/arm/v6", "linux/386", "LINUX/arm64"]
        {
            assert_eq!(Platform::from_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_is_sorted_and_names_each_once() {
        let list = Platform::list("linux/arm64, linux/amd64,arm64").unwrap();
        assert_eq!(list, [Platform::Amd64, Platform::Arm64]);
        assert_eq!(Platform::list("linux/arm64,linux/mips").unwrap_err(), "linux/mips");
    }
}
