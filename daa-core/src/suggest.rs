//! "Did you mean": the nearest known name.

/// The nearest name that begins like `found`, or is at most a third of its length away from it.
#[must_use]
pub fn nearest<'a>(found: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let found: Vec<char> = found.chars().take(64).flat_map(char::to_lowercase).collect();
    let near = known.into_iter().filter_map(|name| {
        let chars: Vec<char> = name.chars().take(64).flat_map(char::to_lowercase).collect();
        let begins =
            chars.len() >= 3 && (found.starts_with(&chars) || chars.starts_with(&found) && found.len() >= 3);
        let distance = if begins && found != chars { 1 } else { distance(&found, &chars) };
        (distance <= chars.len().max(found.len()).div_ceil(3)).then_some((distance, name))
    });
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name.to_owned())
}

/// The optimal string alignment distance: insertions, deletions, substitutions, and swaps of neighbours.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&row, j) + usize::from(x != y)).min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&y) && b.get(j - 1) == Some(&x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_leaves_strangers_alone() {
        assert_eq!(nearest("pramas", ["id", "params", "cost"]), Some("params".to_owned()));
        assert_eq!(nearest("Permitt", ["permit", "deny"]), Some("permit".to_owned()));
        assert_eq!(nearest("integer", ["int", "list"]), Some("int".to_owned()));
        assert_eq!(nearest("balance", ["id", "params", "cost"]), None);
    }
}
