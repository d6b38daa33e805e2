//! Text in aligned columns, without borders.

use comfy_table::{CellAlignment, ColumnConstraint, Table, Width, presets};

/// A column of text.
pub(crate) struct Column {
    alignment: CellAlignment,
    /// The spaces before the column.
    gap: u16,
    /// The least width, without the gap.
    width: u16,
}

/// A column that is aligned to the left, with `gap` spaces before it, and at least `width` characters
/// wide.
pub(crate) const fn left(gap: u16, width: u16) -> Column {
    Column { alignment: CellAlignment::Left, gap, width }
}

/// A column that is aligned to the right.
pub(crate) const fn right(gap: u16, width: u16) -> Column {
    Column { alignment: CellAlignment::Right, gap, width }
}

/// Aligns the cells of rows in columns. A cell may have several lines.
pub(crate) fn aligned<const N: usize>(
    columns: [Column; N],
    rows: impl IntoIterator<Item = [impl ToString; N]>,
) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).add_rows(rows);
    for (Column { alignment, gap, width }, column) in columns.into_iter().zip(table.column_iter_mut()) {
        column.set_padding((gap, 0)).set_cell_alignment(alignment);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(gap + width)));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_their_least_width() {
        let rows = [["a", "1", "x"], ["long", "1,000", "y\nz"], ["", "", ""]];
        let narrow = "a        1  x\nlong 1,000  y\n            z\n";
        assert_eq!(aligned([left(0, 1), right(1, 2), left(2, 0)], rows), narrow);
        let wide = "  a          1 x\n  long   1,000 y\n               z\n";
        assert_eq!(aligned([left(2, 5), right(1, 6), left(1, 0)], rows), wide);
        assert_eq!(aligned([left(0, 5)], [[""; 1]; 0]), "");
    }
}
