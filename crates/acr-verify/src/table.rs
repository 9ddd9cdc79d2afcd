//! A table of text.

/// Rows with columns of one width, and a rule below the first.
pub(crate) fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let padded: [String; N] = std::array::from_fn(|at| format!("{:1$}", row[at], widths[at]));
        text += &format!("{}\n", padded.join(" | ").trim_end());
        if number == 0 {
            text += &format!("{}\n", widths.map(|width| "-".repeat(width)).join("-|-"));
        }
    }
    text
}
