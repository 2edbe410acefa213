//! Content: the digest of what a manifest says about the image, however it is laid out.
//!
//! Comments, order and spaces count for nothing. Nor does what says where sources come from and when they are pinned:
//! a mirror is one machine's affair, and what became of the rest is in the lock; nor what runs beside it on one's desk. Nor do
//! the other machines that images are made for: each image is the same whether it is made alone or with others; nor what the
//! boot check asks of it.

use serde_json::Value;

use crate::digest::Digest;

/// Tables about where from and when, and about one's desk.
const ELSEWHERE: [&str; 5] = ["dev", "hex", "lock", "mirrors", "services"];

/// What of `[release]` only says how it is looked at before it is packed.
const CHECKS: [&str; 2] = ["smoke", "smoke-eval"];

/// Returns the SHA-256 of the document as JSON, keys sorted, without what says nothing about the image.
pub(super) fn digest(text: &str) -> Digest {
    let document: toml::Table = text.parse().expect("the document was read before");
    let mut value = serde_json::to_value(document).expect("TOML is less than JSON");
    if let Some(document) = value.as_object_mut() {
        document.retain(|name, _| !ELSEWHERE.contains(&name.as_str()));
        if let Some(release) = document.get_mut("release").and_then(Value::as_object_mut) {
            let checks = CHECKS.map(|name| release.remove(name).is_some());
            if checks.contains(&true) && release.is_empty() {
                document.remove("release");
            }
        }
        if let Some(image) = document.get_mut("image").and_then(Value::as_object_mut) {
            image.remove("platforms");
        }
    }
    Digest::of(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "[project]\nname = \"shop\"\nversion = \"1\"\n[image]\nports = [80]\n";

    #[test]
    fn what_says_nothing_about_the_image_does_not_count() {
        let other = "# ours\n[mirrors]\n\"https://a/\" = \"b\"\n[image]\nplatforms = [\"linux/arm64\"]\n\
                     ports = [ 80 ]\n[lock]\nminimum-age = \"7d\"\n[project]\nversion = '1'\nname = 'shop'\n";
        assert_eq!(digest(other), digest(PLAIN));
        let checked = format!("{PLAIN}[release]\nsmoke-eval = \"ok\"\nsmoke = [\"a\"]\n");
        assert_eq!(digest(&checked), digest(PLAIN));
    }

    #[test]
    fn what_decides_the_image_counts() {
        for (from, to) in [("80", "81"), ("shop", "stop"), ("ports", "volumes")] {
            assert_ne!(digest(&PLAIN.replace(from, to)), digest(PLAIN), "{to}");
        }
    }
}
