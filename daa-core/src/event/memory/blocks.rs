//! A list that never moves what is in it.

/// How many elements one block has.
const BLOCK: usize = 1_024;

/// A list that grows by blocks. A vector moves everything when it grows, and whoever wants to append to a log or read
/// it waits for that, the longer the longer the log.
#[derive(Debug)]
pub(super) struct Blocks<T> {
    /// All full but the last.
    blocks: Vec<Vec<T>>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { blocks: Vec::new() }
    }
}

impl<T> Blocks<T> {
    pub(super) fn len(&self) -> usize {
        self.blocks.last().map_or(0, |last| (self.blocks.len() - 1) * BLOCK + last.len())
    }

    pub(super) fn push(&mut self, element: T) {
        match self.blocks.last_mut() {
            Some(last) if last.len() < BLOCK => last.push(element),
            // The first of them grows, for the many logs that stay short.
            None => self.blocks.push(vec![element]),
            Some(_) => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(element);
                self.blocks.push(block);
            }
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        self.blocks.get(index / BLOCK)?.get(index % BLOCK)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.blocks.get_mut(index / BLOCK)?.get_mut(index % BLOCK)
    }

    /// The elements from the one at `index` on.
    pub(super) fn from(&self, index: usize) -> impl Iterator<Item = &T> {
        let blocks = self.blocks.get(index / BLOCK..).unwrap_or_default();
        blocks.iter().flatten().skip(index % BLOCK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_list() {
        let mut blocks = Blocks::default();
        let len = 3 * BLOCK + 1;
        for number in 0..len {
            assert_eq!(blocks.len(), number);
            blocks.push(number);
        }
        *blocks.get_mut(BLOCK).unwrap() = 7;
        for start in
            [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, len - 1, len, len + 1, 9 * BLOCK, usize::MAX]
        {
            let expected = (start..len).map(|number| if number == BLOCK { 7 } else { number });
            assert!(blocks.from(start).copied().eq(expected.clone()), "{start}");
            assert_eq!(blocks.get(start).copied(), expected.take(1).next(), "{start}");
        }
    }
}
