//! Treemap: where an image's bytes are, as a picture: every area is as large as its share of them.
//!
//! Rectangles are kept near to squares, since areas of long strips cannot be compared by eye (Bruls, Huizing and
//! van Wijk, "Squarified Treemaps"). The same image gives the same bytes of SVG. A pointer that rests on an area
//! shows its name and size, so that only what has room bears a label.

use std::fmt::Write as _;

use super::size::{LayerSize, PartSize, Sizes};

/// The picture's width and height.
const SIZE: (f64, f64) = (1280.0, 800.0);
/// Height of the strip that names a layer or part, and of a line of text.
const STRIP: f64 = 18.0;
/// Width of a letter of a label, on the safe side.
const LETTER: f64 = 7.2;
/// Areas below this many pixels are left to the colour of what they are in.
const AREA_MIN: f64 = 6.0;
/// A hue for each layer, from the bottom; far apart for eyes that see fewer colours, too.
const HUES: [u32; 6] = [212, 32, 150, 340, 265, 60];

#[derive(Debug, Clone, Copy, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Area {
    /// Returns what is left inside a border, below a strip of this height.
    fn inside(self, border: f64, strip: f64) -> Self {
        Self {
            x: self.x + border,
            y: self.y + border + strip,
            width: (self.width - 2.0 * border).max(0.0),
            height: (self.height - 2.0 * border - strip).max(0.0),
        }
    }

    fn size(self) -> f64 {
        self.width * self.height
    }
}

/// Draws where the bytes of an image are. `print` writes a size for people.
pub fn treemap(sizes: &Sizes, title: &str, print: &dyn Fn(u64) -> String) -> String {
    let (width, height) = SIZE;
    let mut svg = String::new();
    let mut picture = Picture { svg: &mut svg, print };
    picture.line(&format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">"##
    ));
    picture.line(r##"<rect width="100%" height="100%" fill="#ffffff"/>"##);
    let whole = Area { x: 0.0, y: 0.0, width, height };
    let all = (sizes.tar_bytes(), sizes.packed_bytes());
    let packed = format!("{title}: {} unpacked, {} packed", print(all.0), print(all.1));
    picture.label(whole, &packed, "#202020");
    // A layer keeps its hue whatever its size.
    let mut layers: Vec<(&LayerSize, &u32)> =
        sizes.layers.iter().zip(HUES.iter().cycle()).collect();
    layers.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.tar_bytes));
    let weights: Vec<u64> = layers.iter().map(|(layer, _)| layer.tar_bytes).collect();
    let areas = squarified(&weights, whole.inside(2.0, STRIP));
    for ((layer, hue), area) in layers.into_iter().zip(areas) {
        picture.layer(layer, area, *hue);
    }
    picture.line("</svg>");
    svg
}

struct Picture<'a> {
    svg: &'a mut String,
    print: &'a dyn Fn(u64) -> String,
}

impl Picture<'_> {
    fn line(&mut self, text: &str) {
        self.svg.push_str(text);
        self.svg.push('\n');
    }

    fn layer(&mut self, layer: &LayerSize, area: Area, hue: u32) {
        let sizes = ((self.print)(layer.tar_bytes), (self.print)(layer.packed_bytes));
        let name = format!("layer {}, {} ({} packed)", layer.name, sizes.0, sizes.1);
        self.rectangle(area, &format!("hsl({hue}, 45%, 38%)"), &name);
        self.label(area, &name, "#ffffff");
        let weights: Vec<u64> = layer.parts.iter().map(|part| part.bytes).collect();
        let areas = squarified(&weights, area.inside(1.5, STRIP));
        for (number, (part, area)) in layer.parts.iter().zip(areas).enumerate() {
            self.part(part, area, (hue, number));
        }
    }

    fn part(&mut self, part: &PartSize, area: Area, (hue, number): (u32, usize)) {
        if area.size() < AREA_MIN {
            return;
        }
        let name = format!("{}, {}", part.name, (self.print)(part.bytes));
        let light = 62 + 6 * (number % 3);
        self.rectangle(area, &format!("hsl({hue}, 45%, {light}%)"), &name);
        self.label(area, &name, "#101010");
        let weights: Vec<u64> = part.files.iter().map(|file| file.bytes).collect();
        for (file, area) in part.files.iter().zip(squarified(&weights, area.inside(1.0, STRIP))) {
            if area.size() < AREA_MIN {
                // They stand from the largest to the smallest.
                break;
            }
            let name = format!("{}, {}", file.path, (self.print)(file.bytes));
            self.rectangle(area, &format!("hsl({hue}, 45%, {}%)", light + 12), &name);
            let file = file.path.rsplit('/').next().unwrap_or(&file.path);
            self.label(area, file, "#303030");
        }
    }

    fn rectangle(&mut self, area: Area, fill: &str, title: &str) {
        let Area { x, y, width, height } = area;
        self.line(&format!(
            r##"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}" stroke="#ffffff" stroke-width="0.5"><title>{}</title></rect>"##,
            escaped(title)
        ));
    }

    /// Writes as much of a text as has room, and nothing where that would say nothing.
    fn label(&mut self, area: Area, text: &str, fill: &str) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a picture is small"
        )]
        let room = ((area.width - 8.0) / LETTER).max(0.0) as usize;
        if room < 4 || area.height < STRIP - 2.0 {
            return;
        }
        let mut shown: String = text.chars().take(room).collect();
        if shown.len() < text.len() {
            shown.pop();
            shown.push('…');
        }
        let (x, y) = (area.x + 4.0, area.y + STRIP - 5.0);
        self.line(&format!(
            r##"<text x="{x:.1}" y="{y:.1}" fill="{fill}" pointer-events="none">{}</text>"##,
            escaped(&shown)
        ));
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() => {
                write!(safe, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail")
            }
            c => safe.push(c),
        }
    }
    safe
}

/// Parts an area among weights that fall, each part as near to a square as the others allow.
fn squarified(weights: &[u64], area: Area) -> Vec<Area> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a picture has fewer pixels than a float has digits"
    )]
    let weights: Vec<f64> = weights.iter().map(|weight| *weight as f64).collect();
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 || area.size() <= 0.0 {
        return weights.iter().map(|_| Area { width: 0.0, height: 0.0, ..area }).collect();
    }
    let scale = area.size() / sum;
    let sizes: Vec<f64> = weights.iter().map(|weight| weight * scale).collect();
    let (mut areas, mut left, mut from) = (Vec::new(), area, 0);
    while from < sizes.len() {
        let side = left.width.min(left.height);
        let mut to = from + 1;
        while to < sizes.len() && worst(&sizes[from..=to], side) <= worst(&sizes[from..to], side) {
            to += 1;
        }
        left = row(&sizes[from..to], left, &mut areas);
        from = to;
    }
    areas
}

/// Returns how far from a square the worst of a row would be.
fn worst(row: &[f64], side: f64) -> f64 {
    let sum: f64 = row.iter().sum();
    let depth = sum / side.max(f64::MIN_POSITIVE);
    let ratio = |size: &f64| {
        let length = size / depth;
        if length > depth { length / depth } else { depth / length.max(f64::MIN_POSITIVE) }
    };
    row.iter().map(ratio).fold(0.0, f64::max)
}

/// Lays a row along the shorter side and returns what is left of the area.
fn row(sizes: &[f64], area: Area, areas: &mut Vec<Area>) -> Area {
    let sum: f64 = sizes.iter().sum();
    let Area { x, y, width, height } = area;
    let upright = width >= height;
    let side = if upright { height } else { width };
    let depth = if side > 0.0 { sum / side } else { 0.0 };
    let mut at = 0.0;
    for size in sizes {
        let length = if depth > 0.0 { size / depth } else { 0.0 };
        areas.push(match upright {
            true => Area { x, y: y + at, width: depth, height: length },
            false => Area { x: x + at, y, width: length, height: depth },
        });
        at += length;
    }
    match upright {
        true => Area { x: x + depth, width: (width - depth).max(0.0), ..area },
        false => Area { y: y + depth, height: (height - depth).max(0.0), ..area },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::image::FileSize;

    proptest! {
        #[test]
        fn areas_are_as_large_as_their_weights_and_stay_inside(
            mut weights in proptest::collection::vec(0_u64..1_000_000, 1..40),
        ) {
            weights.sort_by(|one, other| other.cmp(one));
            let whole = Area { x: 10.0, y: 20.0, width: 300.0, height: 200.0 };
            let areas = squarified(&weights, whole);
            prop_assert_eq!(areas.len(), weights.len());
            let sum: u64 = weights.iter().sum();
            for (area, weight) in areas.iter().zip(&weights) {
                let expected = if sum == 0 { 0.0 } else { 60_000.0 * *weight as f64 / sum as f64 };
                prop_assert!((area.size() - expected).abs() < 1e-3, "{:?} {}", area, expected);
                prop_assert!(area.x >= 9.999 && area.x + area.width <= 310.001, "{:?}", area);
                prop_assert!(area.y >= 19.999 && area.y + area.height <= 220.001, "{:?}", area);
            }
        }
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let file = FileSize { path: "app/<script>&\u{1}\"".into(), bytes: 70 };
        let part = PartSize { name: "<b>".into(), bytes: 70, files: vec![file] };
        let layer =
            LayerSize { name: "a&b".into(), packed_bytes: 9, tar_bytes: 70, parts: vec![part] };
        let svg = treemap(&Sizes { layers: vec![layer] }, "x", &|bytes| format!("{bytes} B"));
        assert!(svg.contains("app/&lt;script&gt;&amp;\\u0001&quot;, 70 B</title>"), "{svg}");
        assert!(svg.contains("layer a&amp;b, 70 B (9 B packed)"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains("<b>"), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }
}
