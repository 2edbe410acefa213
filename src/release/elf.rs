//! Elf: what a program or library asks of the system that loads it.

use std::collections::BTreeSet;

use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{Dyn as _, ElfFile, FileHeader, ProgramHeader as _};

/// What the loader reads in one ELF file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Elf {
    /// Kind of machine, as `e_machine` and class say it.
    pub(super) machine: Machine,
    /// The loader that a program asks for.
    pub(super) interpreter: Option<String>,
    /// Libraries that must be there, in order.
    pub(super) needed: Vec<String>,
    /// Where it wants them looked for first.
    pub(super) search: Vec<String>,
    /// Symbol versions that it wants, with the library that has to define them.
    pub(super) wants: Vec<(String, String)>,
    /// Symbol versions that it defines.
    pub(super) defines: BTreeSet<String>,
    /// Whether the loader finds a dynamic table.
    is_dynamic: bool,
    /// Whether we find it.
    has_table: bool,
}

/// The machines that rebeam makes images for, and all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Machine {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM; as Debian's armhf, ARMv7 with hardware floating point.
    Arm,
    /// Any other, by class and `e_machine`.
    #[default]
    Other,
}

impl Machine {
    /// Returns the name that Debian's library directories bear.
    pub fn triplet(self) -> Option<&'static str> {
        match self {
            Self::X86_64 => Some("x86_64-linux-gnu"),
            Self::Aarch64 => Some("aarch64-linux-gnu"),
            Self::Arm => Some("arm-linux-gnueabihf"),
            Self::Other => None,
        }
    }

    /// Returns the name that images bear.
    pub fn image_name(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
            Self::Arm => "arm",
            Self::Other => "unknown",
        }
    }

    /// Returns the variant of the machine that images name, where they name one.
    pub fn variant(self) -> Option<&'static str> {
        match self {
            Self::Aarch64 => Some("v8"),
            Self::Arm => Some("v7"),
            Self::X86_64 | Self::Other => None,
        }
    }
}

/// Tells whether a file's first bytes are those of an ELF file.
pub(super) fn is_elf(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF")
}

/// Tells whether an ELF file is a program: it names its loader, or is bound to its addresses.
pub(super) fn is_program(bytes: &[u8]) -> bool {
    const EXECUTABLE: &[u8] = &[2, 0];
    bytes.get(16..18) == Some(EXECUTABLE) || parse(bytes).is_ok_and(|elf| elf.interpreter.is_some())
}

/// Reads an ELF file. One that is not little-endian is of an `Other` machine and says no more.
pub(super) fn parse(bytes: &[u8]) -> Result<Elf, String> {
    let read = read(bytes).map_err(|error| error.to_string())?;
    // The loader goes by program headers, we by sections: a file that lost its sections would ask for nothing.
    if read.is_dynamic && !read.has_table {
        return Err("it has no section headers, so what it loads cannot be told".into());
    }
    Ok(read)
}

fn read(bytes: &[u8]) -> object::read::Result<Elf> {
    match bytes.get(4..6) {
        Some([2, 1]) => read_class::<FileHeader64<LittleEndian>>(bytes),
        Some([1, 1]) => read_class::<FileHeader32<LittleEndian>>(bytes),
        _ => Ok(Elf::default()),
    }
}

fn read_class<H: FileHeader<Endian = LittleEndian>>(bytes: &[u8]) -> object::read::Result<Elf> {
    let file = ElfFile::<'_, H>::parse(bytes)?;
    let mut read = Elf {
        machine: match (file.elf_header().e_machine(LittleEndian), file.elf_header().is_type_64()) {
            (elf::EM_X86_64, true) => Machine::X86_64,
            (elf::EM_AARCH64, true) => Machine::Aarch64,
            (elf::EM_ARM, false) => Machine::Arm,
            _ => Machine::Other,
        },
        ..Elf::default()
    };
    for segment in file.elf_program_headers() {
        if let Some(path) = segment.interpreter(LittleEndian, bytes)? {
            read.interpreter = Some(text(path));
        }
        read.is_dynamic |= segment.p_type(LittleEndian) == elf::PT_DYNAMIC;
    }
    read_dynamic(&file, &mut read)?;
    read_versions(&file, bytes, &mut read)?;
    Ok(read)
}

fn read_dynamic<H: FileHeader<Endian = LittleEndian>>(
    file: &ElfFile<'_, H>,
    read: &mut Elf,
) -> object::read::Result<()> {
    let (mut rpath, mut runpath) = (Vec::new(), Vec::new());
    let table = file.elf_dynamic_table()?;
    read.has_table = !table.is_empty();
    for entry in table.dynamics() {
        let tag = entry.tag(LittleEndian);
        if tag == elf::DT_NULL {
            break;
        }
        let list = match tag {
            elf::DT_NEEDED => &mut read.needed,
            elf::DT_RPATH => &mut rpath,
            elf::DT_RUNPATH => &mut runpath,
            _ => continue,
        };
        let value = text(entry.string(LittleEndian, *table.strings())?);
        if tag == elf::DT_NEEDED {
            list.push(value);
        } else {
            list.extend(value.split(':').filter(|part| !part.is_empty()).map(str::to_owned));
        }
    }
    // The loader ignores the older of the two where both are there.
    read.search = if runpath.is_empty() { rpath } else { runpath };
    Ok(())
}

fn read_versions<H: FileHeader<Endian = LittleEndian>>(
    file: &ElfFile<'_, H>,
    bytes: &[u8],
    read: &mut Elf,
) -> object::read::Result<()> {
    let sections = file.elf_section_table();
    if let Some((mut needs, link)) = sections.gnu_verneed(LittleEndian, bytes)? {
        let strings = sections.strings(LittleEndian, bytes, link)?;
        while let Some((need, mut versions)) = needs.next()? {
            let library = text(need.file(LittleEndian, strings)?);
            while let Some(version) = versions.next()? {
                let weak = version.vna_flags.get(LittleEndian).0 & elf::VER_FLG_WEAK.0 != 0;
                if !weak {
                    let name = text(version.name(LittleEndian, strings)?);
                    read.wants.push((library.clone(), name));
                }
            }
        }
    }
    if let Some((mut defines, link)) = sections.gnu_verdef(LittleEndian, bytes)? {
        let strings = sections.strings(LittleEndian, bytes, link)?;
        while let Some((_, mut names)) = defines.next()? {
            if let Some(name) = names.next()? {
                read.defines.insert(text(name.name(LittleEndian, strings)?));
            }
        }
    }
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Bytes of an ELF file's head, to see whether a file is one.
pub(super) const HEAD_BYTES: usize = size_of::<FileHeader64<LittleEndian>>();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::release::tests::craft::{AARCH64, Craft, craft};

    #[test]
    fn a_file_says_what_it_was_made_to_say() {
        let file = craft(&Craft {
            machine: AARCH64,
            interpreter: Some("/lib/ld-linux-aarch64.so.1"),
            needed: &["libc.so.6", "libz.so.1"],
            runpath: Some("$ORIGIN:/opt/lib"),
            wants: &[("libc.so.6", "GLIBC_2.17"), ("libz.so.1", "ZLIB_1.2")],
            defines: &["MINE_1", "MINE_2"],
        });
        let elf = parse(&file).unwrap();
        assert_eq!(elf.machine, Machine::Aarch64);
        assert_eq!(elf.interpreter.as_deref(), Some("/lib/ld-linux-aarch64.so.1"));
        assert_eq!(elf.needed, ["libc.so.6", "libz.so.1"]);
        assert_eq!(elf.search, ["$ORIGIN", "/opt/lib"]);
        let wants = [("libc.so.6", "GLIBC_2.17"), ("libz.so.1", "ZLIB_1.2")];
        assert_eq!(elf.wants, wants.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(elf.defines, BTreeSet::from(["MINE_1", "MINE_2"].map(str::to_owned)));
    }

    #[test]
    fn our_own_test_program_asks_for_what_it_was_linked_to() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = parse(&own).unwrap();
        assert!(elf.machine.triplet().is_some());
        if elf.interpreter.is_some() {
            assert!(elf.needed.iter().any(|name| name.starts_with("libc.so")));
            assert!(elf.wants.iter().any(|(_, version)| version.starts_with("GLIBC_2")));
        }
        assert!(elf.defines.is_empty());
    }

    #[test]
    fn a_file_whose_table_is_hidden_is_refused() {
        let mut file =
            craft(&Craft { machine: AARCH64, interpreter: Some("x"), ..Craft::default() });
        let (interpreter, dynamic) = (3, 2);
        assert_eq!(file[64], interpreter);
        file[64] = dynamic;
        assert!(parse(&file).is_ok());
        let (headers, count) = (40..48, 60..62);
        file[headers].fill(0);
        file[count].fill(0);
        assert!(parse(&file).unwrap_err().contains("no section headers"));
    }

    #[test]
    fn a_32_bit_file_is_read_as_one() {
        let mut file = b"\x7fELF\x01\x01\x01".to_vec();
        file.resize(52, 0);
        file[16] = 2;
        file[18] = 40;
        file[20] = 1;
        file[40] = 52;
        assert_eq!(parse(&file).unwrap().machine, Machine::Arm);
        assert!(is_program(&file));
        file[18] = 3;
        assert_eq!(parse(&file).unwrap().machine, Machine::Other);
        assert_eq!(Machine::Arm.variant(), Some("v7"));
    }

    #[test]
    fn another_class_of_machine_is_seen_as_such() {
        let mut head = b"\x7fELF\x01\x01\x01".to_vec();
        head.resize(52, 0);
        assert_eq!(parse(&head).unwrap().machine, Machine::Other);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0", bytes.as_slice()].concat());
        }

        #[test]
        fn no_flipped_byte_makes_it_panic(place in 0_usize..4096, byte: u8) {
            let mut own = std::fs::read("/proc/self/exe").map(|mut own| { own.truncate(1 << 20); own }).unwrap_or_default();
            if let Some(old) = own.get_mut(place) {
                *old = byte;
            }
            let _ = parse(&own);
        }
    }
}
