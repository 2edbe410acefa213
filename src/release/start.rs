//! Start: the command and environment by which an image starts its release.
//!
//! The emulator's launcher is called straight, without a shell between: the node is process 1 and hears
//! SIGTERM itself, on which OTP's default handler stops all applications in order.

use std::collections::BTreeMap;

use super::spec::{Config, Spec};
use super::{HOME, ReleaseError, Start};
use crate::manifest::{ImageWish, Shell};

/// The user's home in the image.
pub(super) const USER_HOME: &str = "home/app";

/// Does what the script of a mix release does with `env.sh`: reads it, and lets it name the node. What becomes
/// process 1 in the end is the emulator itself.
const WITH_ENV: &str = r#"export RELEASE_COMMAND=start
. "$0"
case ${RELEASE_DISTRIBUTION-none} in
    name | sname) set -- "$@" "-$RELEASE_DISTRIBUTION" "$RELEASE_NODE" ${RELEASE_COOKIE:+-setcookie "$RELEASE_COOKIE"} ;;
    *) set -- "$@" -start_epmd false ;;
esac
exec "$@""#;

/// Starts epmd and waits until it answers; `$0` is epmd. `epmd -daemon` itself ends before its daemon listens.
const WITH_EPMD: &str = r#""$0" -daemon
turns=0
until "$0" -names > /dev/null 2>&1; do
    turns=$((turns + 1))
    test $turns -le 200 || { echo "epmd does not answer" >&2; break; }
    sleep 0.05
done
exec "$@""#;

/// Returns the shell that the image holds: what the manifest says, else one only where the release cannot start
/// without: to fill its configuration in, or because the emulator starts epmd through it.
pub(super) fn shell(spec: &Spec, image: &ImageWish) -> Shell {
    let needs = spec.unfinished().is_some() || spec.starts_epmd() || spec.has_env;
    let needs = needs && image.entrypoint.is_none() || image.epmd == Some(true);
    let by_default = if needs { Shell::Busybox } else { Shell::None };
    image.shell.unwrap_or(by_default)
}

/// Settles how the release starts.
pub(super) fn start(spec: &Spec, image: &ImageWish) -> Result<Start, ReleaseError> {
    let shell = shell(spec, image);
    let by_script = match (spec.unfinished(), shell) {
        (None, _) => false,
        (Some(_), Shell::Busybox) => true,
        // An entry point of the project's own may fill the files in itself.
        (Some(_), Shell::None) if image.entrypoint.is_some() => false,
        (Some(path), Shell::None) => return Err(ReleaseError::NeedsShell { path }),
    };
    let own = image.entrypoint.is_some();
    if spec.has_env && shell == Shell::None && !own {
        return Err(ReleaseError::EnvNeedsShell { path: format!("{}/env.sh", spec.directory) });
    }
    if spec.starts_epmd() && shell == Shell::None && !own {
        return Err(ReleaseError::NeedsEpmd);
    }
    let epmd_first = epmd_first(spec, image, shell)?;
    let mut env = environment(spec, image);
    if by_script {
        env.insert("RELX_REPLACE_OS_VARS".into(), "true".into());
        env.insert("RELX_OUT_FILE_PATH".into(), "/tmp".into());
    }
    if spec.is_of_mix() {
        env.extend(for_mix(spec));
    }
    env.extend(image.env.clone());
    let entrypoint = match &image.entrypoint {
        Some(own) => own.clone(),
        None if by_script => vec![format!("/{HOME}/bin/{}", spec.name), "foreground".into()],
        None if spec.has_env => {
            let env = format!("/{HOME}/{}/env.sh", spec.directory);
            let before = ["/bin/sh".into(), "-c".into(), WITH_ENV.into(), env];
            before.into_iter().chain(launcher(spec)).collect()
        }
        None => launcher(spec),
    };
    let entrypoint = match epmd_first {
        true => {
            let epmd = format!("/{HOME}/erts-{}/bin/epmd", spec.erts);
            let before = ["/bin/sh".into(), "-c".into(), WITH_EPMD.into(), epmd];
            before.into_iter().chain(entrypoint).collect()
        }
        false => entrypoint,
    };
    Ok(Start { entrypoint, cmd: image.cmd.clone(), env, directory: format!("/{HOME}") })
}

/// Tells whether epmd is started before the entry point.
///
/// The emulator takes long enough to come to its node's name, so that its launcher need not wait for the epmd that it
/// starts. A `nodetool` starts epmd too and names its own node in the next line: on a busy machine nobody listens yet,
/// and the start script that reads what nodetool prints ends without a word.
fn epmd_first(spec: &Spec, image: &ImageWish, shell: Shell) -> Result<bool, ReleaseError> {
    match (image.epmd, shell) {
        (Some(true), Shell::None) => return Err(ReleaseError::EpmdNeedsShell),
        (None, Shell::Busybox) => {}
        (wish, _) => return Ok(wish == Some(true)),
    }
    let home = format!("/{HOME}/");
    let own = image.entrypoint.iter().flatten();
    let mut own = own.map(|word| word.strip_prefix(&home).unwrap_or(word));
    Ok(own.any(|word| spec.nodetool_scripts.contains(word)))
}

fn environment(spec: &Spec, image: &ImageWish) -> BTreeMap<String, String> {
    let home = if image.user.0 == 0 { "/root".into() } else { format!("/{USER_HOME}") };
    let bin = format!("/{HOME}/erts-{}/bin", spec.erts);
    BTreeMap::from(
        [
            ("PATH", format!("{bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
            ("BINDIR", bin),
            ("ROOTDIR", format!("/{HOME}")),
            ("EMU", "beam".into()),
            ("PROGNAME", "erl".into()),
            ("HOME", home),
            ("LANG", "C.UTF-8".into()),
            // The release's own directory is not writable.
            ("ERL_CRASH_DUMP", "/tmp/erl_crash.dump".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// What the script of a mix release would have set, and what `config/runtime.exs` and its kin look for.
fn for_mix(spec: &Spec) -> BTreeMap<String, String> {
    let version = format!("/{HOME}/{}", spec.directory);
    BTreeMap::from(
        [
            ("RELEASE_ROOT", format!("/{HOME}")),
            ("RELEASE_NAME", spec.name.clone()),
            ("RELEASE_VSN", spec.version.clone()),
            ("RELEASE_MODE", "embedded".into()),
            ("RELEASE_TMP", "/tmp".into()),
            ("RELEASE_SYS_CONFIG", format!("{version}/sys")),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

fn launcher(spec: &Spec) -> Vec<String> {
    let version = format!("/{HOME}/{}", spec.directory);
    let library = format!("/{HOME}/lib");
    let mut command = vec![format!("/{HOME}/erts-{}/bin/erlexec", spec.erts)];
    let mut say = |words: &[&str]| command.extend(words.iter().map(|word| (*word).to_owned()));
    // Without +Bd, Ctrl-C would open the emulator's menu, which nobody can answer.
    say(&["-noinput", "+Bd", "-boot", &format!("{version}/{}", spec.boot)]);
    // relx writes its boot files with one or the other of these.
    say(&["-boot_var", "ERTS_LIB_DIR", &library, "-boot_var", "SYSTEM_LIB_DIR", &library]);
    if spec.is_of_mix() {
        say(&["-boot_var", "RELEASE_LIB", &library]);
    }
    if !spec.asks_for(&["-mode"]) {
        say(&["-mode", "embedded"]);
    }
    if spec.sys_config == Some(Config::Plain) {
        say(&["-config", &format!("{version}/sys")]);
    }
    if spec.vm_args == Some(Config::Plain) {
        say(&["-args_file", &format!("{version}/vm.args")]);
    }
    // Where `env.sh` is read, it may still name the node.
    if !spec.is_distributed() && !spec.has_env {
        say(&["-start_epmd", "false"]);
    }
    command
}
