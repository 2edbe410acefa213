use super::*;
use crate::digest::Digest;

fn elf(class: u8, machine: u8) -> Vec<u8> {
    let mut head = b"\x7fELF".to_vec();
    head.resize(64, 0);
    (head[4], head[18]) = (class, machine);
    head
}

struct World {
    directory: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        Self { directory, store }
    }

    fn tree(&self, name: &str, files: &[(&str, &[u8])]) -> HeldTree {
        let root = self.directory.path().join(name);
        for (path, bytes) in files {
            let path = root.join(path);
            disk::create_dir_all(path.parent().unwrap()).unwrap();
            disk::write_atomic(&path, bytes).unwrap();
        }
        self.store.insert_tree(name, &root, None).unwrap()
    }
}

fn step(name: &str, kind: StepKind) -> Step {
    Step {
        name: name.into(),
        kind,
        inputs: vec![],
        files: BTreeMap::new(),
        patches: vec![],
        stamp: None,
        argv: vec!["rebar3".into(), "compile".into()],
        env: BTreeMap::from([("CC".into(), "cc".into()), ("LANG".into(), "C.UTF-8".into())]),
        output: "out".into(),
    }
}

/// A plan of two dependencies and the release, with outputs of which some hold native code.
fn built(world: &World) -> (Plan, Compiled) {
    let native = elf(2, 62);
    let outputs = vec![
        world.tree("nif", &[("priv/nif.so", &native), ("c_src/nif.o", &native)]),
        world.tree("odd", &[("native/deep/odd.so.1", &native)]),
        world.tree(
            "release",
            &[
                ("lib/nif-1.0/priv/nif.so", &native),
                ("lib/nif-1.0/ebin/nif.beam", b"FOR1"),
                ("lib/nif-1.0/priv/text.so", b"no such thing"),
                ("lib/odd-2.0/priv/odd.so.1", &native),
                ("lib/shop-3.0/priv/own.so", &native),
                ("lib/crypto-5.1/priv/lib/crypto.so", &native),
            ],
        ),
    ];
    let kinds = [("nif", StepKind::Dep), ("odd", StepKind::Dep), ("shop", StepKind::Release)];
    let plan = Plan { steps: kinds.map(|(name, kind)| step(name, kind)).into(), otp: None };
    let release = outputs[2].clone();
    let compiled = Compiled { release, otp: None, outputs, keys: vec![], reused: 0, built: 3 };
    (plan, compiled)
}

fn is_crypto(path: &RelPath) -> bool {
    path.as_bytes().starts_with(b"lib/crypto-5.1")
}

#[test]
fn native_files_are_found_with_the_steps_that_made_them() {
    let world = World::new();
    let (plan, compiled) = built(&world);
    let found = natives(&plan, &compiled, &world.store, &is_crypto).unwrap();
    let said: Vec<String> = found
        .iter()
        .map(|native| format!("{} {} {} {}", native.path, native.app, native.step, native.from))
        .collect();
    let expected = [
        "lib/nif-1.0/priv/nif.so nif 0 priv/nif.so",
        "lib/odd-2.0/priv/odd.so.1 odd 1 native/deep/odd.so.1",
        "lib/shop-3.0/priv/own.so shop 2 lib/shop-3.0/priv/own.so",
    ];
    assert_eq!(said, expected);
    let listing = world.store.listing(&compiled.release).unwrap();
    let kept = without(&listing, &is_crypto);
    assert!(kept.entries().all(|(path, _)| !is_crypto(path)));
    assert!(kept.len() < listing.len() && kept.len() > 5);
}

#[test]
fn what_was_not_made_or_for_another_machine_is_listed() {
    let world = World::new();
    let (plan, compiled) = built(&world);
    let found = natives(&plan, &compiled, &world.store, &is_crypto).unwrap();
    let made = |class, machine| {
        let name = format!("crossed-{class}-{machine}");
        world.tree(&name, &[("priv/nif.so", &elf(class, machine))])
    };
    let check = |nif: HeldTree, machine| {
        let rest = world.tree("rest", &[("lib/shop-3.0/priv/own.so", b"#!/bin/sh")]);
        let crossed = BTreeMap::from([(0, nif), (1, rest.clone()), (2, rest)]);
        let refused = refused(&found, &crossed, machine).unwrap();
        refused.iter().map(|file| format!("{} {}", file.app, file.why)).collect::<Vec<_>>()
    };
    let others = ["odd was not made", "shop was not made"].map(str::to_owned);
    assert_eq!(check(made(2, 183), Architecture::Arm64), others);
    assert_eq!(check(made(1, 40), Architecture::Armhf), others);
    for (class, machine) in [(2, 62), (1, 183), (1, 40)] {
        let listed = check(made(class, machine), Architecture::Arm64);
        assert_eq!(listed[0], "nif was made for another machine all the same");
    }
}

#[test]
fn a_step_for_another_machine_knows_its_compilers_and_strips_nothing_itself() {
    let native = strip::stripped(step("nif", StepKind::Release));
    let crossed = step_for(&native, Architecture::Arm64);
    assert_eq!(crossed.argv, ["rebar3", "compile"]);
    assert_eq!(crossed.env["CC"], "aarch64-linux-gnu-gcc");
    assert_eq!(crossed.env["CROSS_COMPILE"], "aarch64-linux-gnu-");
    assert_eq!(crossed.env["LANG"], "C.UTF-8");
    assert!(crossed.env["PATH"].starts_with("/usr/share/rebeam/bin:"));
    // make's own rules take this for a flag of the compiler.
    assert!(!crossed.env.contains_key("TARGET_ARCH"));
    let text = |step: &Step| step.text(Digest::of(b""), |_| Digest::of(b""));
    let armhf = step_for(&native, Architecture::Armhf);
    assert_ne!(text(&crossed), text(&armhf));
}
