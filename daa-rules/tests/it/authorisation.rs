//! Authorisation: who may do what to what.

mod changes;
mod deciding;
mod differential;
mod entities;
mod gate;
mod hostile;
mod policies;
mod reload;
mod world;
