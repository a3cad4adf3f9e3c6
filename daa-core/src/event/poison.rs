//! Events that one who follows a store cannot deal with.

/// What becomes of an event that one who follows a store can never deal with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnPoison {
    /// It ends there, with an error that names the event, and ends there again when it is started again. Nothing is
    /// lost or out of order; somebody has to look.
    #[default]
    Stop,
    /// It passes over the event, and records durably which one it was and why, together with its position.
    Skip,
}
