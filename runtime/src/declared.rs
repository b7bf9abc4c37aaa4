//! The length that a body was declared to have, held against what comes. Pure.

use http_body::SizeHint;

/// What is to come of a declared length, in bytes, if one was declared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declared(Option<u64>);

/// What a body is beside its declared length.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    Longer,
    /// By so many bytes.
    Shorter(u64),
}

impl Declared {
    pub(crate) fn new(length: Option<u64>) -> Declared {
        Declared(length)
    }

    pub(crate) fn is_known(self) -> bool {
        self.0.is_some()
    }

    /// Whether nothing more needs to come.
    pub(crate) fn is_over(self) -> bool {
        self.0.is_none_or(|left| left == 0)
    }

    /// So many bytes have come.
    ///
    /// # Errors
    /// They are more than were declared.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Mismatch> {
        if let Some(left) = &mut self.0 {
            *left = left.checked_sub(bytes as u64).ok_or(Mismatch::Longer)?;
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// More was declared.
    pub(crate) fn end(self) -> Result<(), Mismatch> {
        match self.0 {
            Some(left) if left > 0 => Err(Mismatch::Shorter(left)),
            _ => Ok(()),
        }
    }

    pub(crate) fn size_hint(self) -> SizeHint {
        self.0.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mismatch::Longer => write!(f, "its body is longer than its content-length"),
            Mismatch::Shorter(left) => {
                write!(f, "its body is {left} bytes shorter than its content-length")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_it_was_declared() {
        let mut three = Declared::new(Some(3));
        assert_eq!(three.take(2), Ok(()));
        assert_eq!(three.end(), Err(Mismatch::Shorter(1)));
        assert!(!three.is_over());
        assert_eq!(three.take(2), Err(Mismatch::Longer));
        assert_eq!(three.take(1), Ok(()));
        assert!(three.is_over() && three.end() == Ok(()));
        let mut any = Declared::new(None);
        assert!(any.is_over() && any.take(9) == Ok(()) && any.end() == Ok(()));
    }
}
