//! Inboxes: each relayed message takes effect once, however often it comes.
//!
//! A bus delivers at least once: relays repeat a batch after a crash, brokers deliver again what was not answered in
//! time, and a consumer may die between its effect and its answer. An [`Inbox`] appends the effect of a message and the
//! mark that it was handled in one batch, so that both are there or neither, and says of what comes again that it was
//! handled.
//!
//! - Members of a group, in any number of processes, share an inbox by its name: of two that hold the same message, one
//!   appends.
//! - A dead letter that is driven again comes after later messages of its key. It is new all the same:
//!   [`Admitted::is_late`].
//! - Of each key the latest [`REMEMBERED`] messages are known. One that is older than all of those, and comes after
//!   them, is neither handled nor dropped: [`InboxError::TooOld`].
//!
//! ```
//! # use std::sync::Arc;
//! # use daa_core::bus::Delivery;
//! # use daa_core::event::*;
//! # use daa_core::inbox::*;
//! async fn bill(inbox: &Inbox, delivery: Delivery) -> Result<(), Box<dyn std::error::Error>> {
//!     if let Admission::New(admitted) = inbox.admit(delivery.message()).await? {
//!         let relayed = admitted.relayed();
//!         let bill = NewEvent::json("bill.written.v1".parse()?, relayed.at, &relayed.stream)?;
//!         let effect = Batch::new().with_event("bills".parse()?, ExpectedVersion::Any, bill);
//!         admitted.commit(effect).await?;
//!     }
//!     // Handled now or before. On an error the delivery is dropped, and the message comes again.
//!     Ok(delivery.ack().await?)
//! }
//! ```

mod door;
mod error;
mod marks;

pub use door::{Admission, Admitted, Committed, Inbox};
pub use error::InboxError;
pub use marks::REMEMBERED;
