//! Needs: what chosen packages need, as it is noted, so that the next lock need not ask the registry.

use crate::explain::Failure;
use crate::lock::Pin;
use crate::lock::mix::{MixResolver, Need};
use crate::pipeline::Desk;
use crate::store::{BuildKey, Record};

pub(super) fn needs_key(outer: &str) -> BuildKey {
    BuildKey::of(&format!("what the hex tarball {outer} needs"))
}

/// Notes what the chosen packages need, so that the next lock need not ask the registry.
pub(super) fn note_needs(desk: &Desk<'_>, resolver: &MixResolver<'_>) -> Result<(), Failure> {
    for (pin, offer) in resolver.packages() {
        if let Pin::Hex { outer, .. } = pin {
            let record = Record { inputs: write_needs(&offer.needs), outputs: vec![] };
            desk.store.remember(needs_key(&outer.hex()), &record)?;
        }
    }
    Ok(())
}

fn write_needs(needs: &[Need]) -> String {
    let line = |need: &Need| {
        let Need { app, package, repository, requirement, optional } = need;
        let repository = repository.as_deref().unwrap_or_default();
        format!("{app}\t{package}\t{repository}\t{requirement}\t{optional}\n")
    };
    needs.iter().map(line).collect()
}

pub(super) fn read_needs(text: &str) -> Vec<Need> {
    let need = |line: &str| {
        let mut words = line.split('\t').map(str::to_owned);
        let (app, package) = (words.next()?, words.next()?);
        let repository = words.next().filter(|name| !name.is_empty());
        let requirement = words.next()?;
        let optional = words.next()? == "true";
        Some(Need { app, package, repository, requirement, optional })
    };
    text.lines().filter_map(need).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_needs_reads_back_as_it_was_noted() {
        let need = |app: &str, repository: Option<&str>, optional| Need {
            app: app.into(),
            package: "plug_x".into(),
            repository: repository.map(str::to_owned),
            requirement: "~> 1.0 or ~> 2.0".into(),
            optional,
        };
        let needs = vec![need("plug", None, true), need("acme", Some("acme"), false)];
        assert_eq!(read_needs(&write_needs(&needs)), needs);
    }
}
