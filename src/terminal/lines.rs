//! Lines: a fact as one line for people. Pure.

use anstyle::{AnsiColor, Style};

use super::{Reasons, StepOutput};
use crate::event::Event;

/// Returns the line for a fact, or nothing where a log needs none.
pub(super) fn line(event: &Event<'_>, output: StepOutput, reasons: Reasons) -> Option<String> {
    let (verb, text) = match event {
        Event::Warned { message } => return Some(warning(message)),
        Event::Retrying { name, attempt, delay_ms, reason } => {
            let wait = duration(*delay_ms);
            return Some(warning(&format!("{name}: {reason}; attempt {attempt}, again in {wait}")));
        }
        Event::StepOutput { name, line } if output == StepOutput::Shown => {
            return Some(format!("{name}: {line}"));
        }
        Event::Fetched { name, bytes: size } if output == StepOutput::Shown => {
            ("Fetched", format!("{name} ({})", bytes(*size)))
        }
        Event::ToolchainReady { suite, packages, reused: false } => {
            ("Unpacked", format!("toolchain {suite}, {}", counted(*packages, "package")))
        }
        Event::VerifyStarted { varied } => ("Varied", varied.join("; ")),
        Event::Locked { sources, packages, changes, rewritten } => {
            ("Locked", locked(*sources, *packages, changes, *rewritten))
        }
        _ => step(event, reasons).or_else(|| image(event)).or_else(|| push(event))?,
    };
    Some(headed(verb, &text))
}

/// Verb and text of a fact about steps.
fn step(event: &Event<'_>, reasons: Reasons) -> Option<(&'static str, String)> {
    let told = reasons == Reasons::Told;
    Some(match event {
        Event::StepReused { name, .. } if told => ("Reused", format!("{name}: nothing changed")),
        Event::StepBuilt { name, duration_ms, reason, .. } if told => {
            ("Ran", format!("{name} in {}: {reason}", duration(*duration_ms)))
        }
        Event::StepBuilt { name, duration_ms, .. } => {
            ("Compiled", format!("{name} in {}", duration(*duration_ms)))
        }
        Event::Built { name, version, reused, built, duration_ms } => {
            let time = duration(*duration_ms);
            ("Built", format!("{name} {version} in {time} ({reused} reused, {built} built)"))
        }
        _ => return None,
    })
}

/// Verb and text of a fact about the image.
fn image(event: &Event<'_>) -> Option<(&'static str, String)> {
    let text = match event {
        Event::BootChecked { duration_ms } => {
            return Some(("Booted", format!("in {}, and stopped", duration(*duration_ms))));
        }
        Event::ImageWritten { path, image_id, manifest, bytes: size, unpacked_bytes } => {
            let (packed, unpacked) = (bytes(*size), bytes(*unpacked_bytes));
            let ids = [field("id", image_id), field("manifest", manifest)].join("\n");
            format!("{path} ({packed}, {unpacked} unpacked)\n{ids}")
        }
        Event::LayoutWritten { path, index, images, bytes: size } => {
            let index = field("index", index);
            format!("{path} ({}, {images} platforms)\n{index}", bytes(*size))
        }
        Event::ImageUpToDate { path, image_id, .. } => {
            format!("{path} is up to date\n{}", field("id", image_id))
        }
        _ => return None,
    };
    Some(("Image", text))
}

/// Verb and text of a fact about where the image went.
fn push(event: &Event<'_>) -> Option<(&'static str, String)> {
    let sent = |count: &u64| match count {
        0 => "nothing to send".to_owned(),
        count => format!("{} sent", bytes(*count)),
    };
    Some(match event {
        Event::Pushed { reference, manifest, sent_bytes, .. } => {
            ("Pushed", format!("{reference}@{manifest} ({})", sent(sent_bytes)))
        }
        Event::Attached { reference, documents, .. } => {
            ("Attached", format!("{} to {reference}", documents.join(", ")))
        }
        Event::Signed { name, digest, key } => {
            ("Signed", format!("{name}\n{}\n{}", field("digest", digest), field("key", key)))
        }
        Event::SignatureHolds { name, digest, key, attestations } => {
            let mut text =
                format!("{name}\n{}\n{}", field("digest", digest), field("signed by", key));
            for attestation in *attestations {
                text += &format!("\n{}", field("attests", attestation));
            }
            ("Good", text)
        }
        Event::Pulled { reference, manifest, received_bytes, .. } => {
            let received = match received_bytes {
                0 => "nothing to fetch".to_owned(),
                count => format!("{} fetched", bytes(*count)),
            };
            let at = if reference.contains('@') { String::new() } else { format!("@{manifest}") };
            ("Pulled", format!("{reference}{at} ({received})"))
        }
        Event::CacheFilled { place, sent: 0, present, .. } => {
            ("Cached", format!("{place} had all {present} results"))
        }
        Event::CacheFilled { place, sent: count, sent_bytes, present } => {
            let text = format!("{count} results in {place} ({})", sent(sent_bytes));
            (
                "Cached",
                if *present == 0 { text } else { format!("{text}; it had {present} already") },
            )
        }
        Event::Loaded { engine, image_id, names, sent_bytes } => {
            let names = names.join(", ");
            (
                "Loaded",
                format!("{names} into {engine} ({})\n{}", sent(sent_bytes), field("id", image_id)),
            )
        }
        _ => return None,
    })
}

fn locked(sources: usize, packages: usize, changes: &[String], rewritten: bool) -> String {
    let counts = format!("{}, {}", counted(sources, "source"), counted(packages, "package"));
    match changes {
        [] if rewritten => counts,
        [] => format!("{counts}; nothing changed"),
        changes => format!("{counts} ({})", changes.join("; ")),
    }
}

/// Says how many there are of something whose plural has an `s`.
pub fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// Puts a verb in front of a text, right-aligned as cargo does.
fn headed(verb: &str, text: &str) -> String {
    let green = Style::new().bold().fg_color(Some(AnsiColor::Green.into()));
    format!("{green}{verb:>9}{green:#} {text}")
}

fn field(name: &str, value: &dyn std::fmt::Display) -> String {
    format!("{name:>9} {value}")
}

fn warning(text: &str) -> String {
    let yellow = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    format!("{yellow}warning:{yellow:#} {text}")
}

/// Prints a size in decimal units, as registries and disks count: `8.46 MB`.
pub fn bytes(count: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, size)| count >= *size) {
        #[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
        Some((unit, size)) => format!("{:.2} {unit}", count as f64 / size as f64),
        None => format!("{count} B"),
    }
}

/// Prints a duration: `840 ms`, `4.5 s`, `2 min 5 s`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read_well() {
        assert_eq!([bytes(999), bytes(8_460_000), bytes(1_000)], ["999 B", "8.46 MB", "1.00 kB"]);
        assert_eq!(
            [duration(12), duration(4_560), duration(125_000)],
            ["12 ms", "4.5 s", "2 min 5 s"]
        );
    }

    #[test]
    fn a_step_says_its_reason_only_when_asked() {
        let digest = crate::digest::Digest::of(b"");
        let event =
            Event::StepBuilt { name: "ranch", digest, duration_ms: 900, reason: "cowlib 1 → 2" };
        let told = line(&event, StepOutput::Logged, Reasons::Told).unwrap();
        assert!(told.contains("cowlib 1 → 2"), "{told}");
        let summed = line(&event, StepOutput::Logged, Reasons::Summed).unwrap();
        assert!(!summed.contains("cowlib"), "{summed}");
    }
}
