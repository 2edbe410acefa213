//! Strip: what compilers leave in programs and libraries for debuggers is taken out of a release.
//!
//! It is done by the toolchain's own binutils as the last act of the release's step, so that it is kept with the step and
//! has the same bytes everywhere. Beams are stripped when an image is made of them.

use super::step::Step;

/// Does the step's own command, then strips every ELF file below the directory that is named first.
const SCRIPT: &str = r#"set -e
output=$1
shift
"$@"
find "$output" -type f \( -name '*.so' -o -name '*.so.*' -o -perm /111 \) | sort > /tmp/elf-files
while read -r file; do
    if test "$(head -c 4 "$file" | tail -c 3)" = ELF; then
        strip --strip-unneeded -o /tmp/stripped "$file"
        cat /tmp/stripped > "$file"
    fi
done < /tmp/elf-files
"#;

/// Returns the step without the stripping at its end.
pub(super) fn unstripped(step: Step) -> Step {
    let is_stripped = step.argv.get(2).is_some_and(|script| script == SCRIPT);
    let argv = if is_stripped { step.argv[5..].to_vec() } else { step.argv };
    Step { argv, ..step }
}

/// Returns the step with stripping as its last act.
pub(super) fn stripped(step: Step) -> Step {
    let output = format!("/build/{}", step.output);
    let before = ["sh", "-c", SCRIPT, "strip"].map(str::to_owned).into_iter().chain([output]);
    Step { argv: before.chain(step.argv).collect(), ..step }
}
