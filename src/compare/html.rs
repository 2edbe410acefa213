//! Html: a comparison as one page.

use super::Comparison;

/// Writes the comparison as one page.
pub fn html(_comparison: &Comparison) -> String {
    String::new()
}
