//! Table: columns of text, padded to their widest cell.

/// Lays rows out in columns two spaces apart; the last column is not padded.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let pad = |(column, cell): (usize, &String)| format!("{cell:<0$}", widths[column]);
        row.iter().enumerate().map(pad).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [["app", "commit"], ["cowboy", "9e60"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(super::table(&rows), "app     commit\ncowboy  9e60");
    }
}
