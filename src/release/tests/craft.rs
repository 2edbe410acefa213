//! Craft: made-up modules and ELF files that hold nothing but what is read of them.

/// Makes a module of chunks.
pub(crate) fn module(chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let mut body = b"BEAM".to_vec();
    for (name, bytes) in chunks {
        body.extend_from_slice(*name);
        body.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        body.extend_from_slice(bytes);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut file = b"FOR1".to_vec();
    file.extend_from_slice(&(body.len() as u32).to_be_bytes());
    file.extend_from_slice(&body);
    file
}

/// What a made-up ELF file asks for and offers.
#[derive(Default)]
pub(crate) struct Craft<'a> {
    pub(crate) machine: u16,
    pub(crate) interpreter: Option<&'a str>,
    pub(crate) needed: &'a [&'a str],
    pub(crate) runpath: Option<&'a str>,
    pub(crate) wants: &'a [(&'a str, &'a str)],
    pub(crate) defines: &'a [&'a str],
}

pub(crate) const X86_64: u16 = 62;
pub(crate) const AARCH64: u16 = 183;

/// Names written one behind the other.
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        let at = self.0.len() as u32;
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

fn words(out: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

fn halves(out: &mut Vec<u8>, short: &[u16], long: &[u32]) {
    short.iter().for_each(|half| out.extend_from_slice(&half.to_le_bytes()));
    long.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
}

/// Makes an ELF file of nothing but what the loader reads.
pub(crate) fn craft(craft: &Craft<'_>) -> Vec<u8> {
    let mut strings = Strings(vec![0]);
    let (mut dynamic, mut needs, mut defines) = (Vec::new(), Vec::new(), Vec::new());
    for name in craft.needed {
        words(&mut dynamic, &[1, strings.add(name).into()]);
    }
    if let Some(path) = craft.runpath {
        words(&mut dynamic, &[29, strings.add(path).into()]);
    }
    words(&mut dynamic, &[0, 0]);
    for (at, (library, version)) in craft.wants.iter().enumerate() {
        let next = if at + 1 == craft.wants.len() { 0 } else { 32 };
        halves(&mut needs, &[1, 1], &[strings.add(library), 16, next]);
        halves(&mut needs, &[], &[0]);
        halves(&mut needs, &[0, 2], &[strings.add(version), 0]);
    }
    for (at, version) in craft.defines.iter().enumerate() {
        let next = if at + 1 == craft.defines.len() { 0 } else { 28 };
        halves(&mut defines, &[1, 0, 1, 1], &[0, 20, next]);
        halves(&mut defines, &[], &[strings.add(version), 0]);
    }
    let interpreter = format!("{}\0", craft.interpreter.unwrap_or_default());
    let pieces = [interpreter.as_bytes(), &strings.0, &dynamic, &needs, &defines];
    let mut places = Vec::new();
    let mut body = Vec::new();
    for piece in pieces {
        body.resize(body.len().next_multiple_of(8), 0);
        places.push((64 + 56 + body.len() as u64, piece.len() as u64));
        body.extend_from_slice(piece);
    }
    body.resize(body.len().next_multiple_of(8), 0);
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    halves(&mut file, &[3, craft.machine], &[1]);
    words(&mut file, &[0, 64, 64 + 56 + body.len() as u64]);
    halves(&mut file, &[], &[0]);
    let segments = u16::from(craft.interpreter.is_some());
    halves(&mut file, &[64, 56, segments, 64, 5, 1], &[]);
    halves(&mut file, &[], &[3, 4]);
    words(&mut file, &[places[0].0, 0, 0, places[0].1, places[0].1, 1]);
    file.extend_from_slice(&body);
    file.resize(file.len() + 64, 0);
    let kinds = [(3, 0, 1), (6, 16, 1), (0x6fff_fffe, 0, 1), (0x6fff_fffd, 0, 1)];
    for ((kind, size, link), (at, length)) in kinds.into_iter().zip(&places[1..]) {
        halves(&mut file, &[], &[0, if *length == 0 { 0 } else { kind }]);
        words(&mut file, &[0, 0, *at, *length]);
        halves(&mut file, &[], &[link, 1]);
        words(&mut file, &[8, size]);
    }
    file
}
