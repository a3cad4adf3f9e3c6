//! Methods with typed messages.

/// A method whose messages are those of [`prost`].
///
/// ```
/// use daa_net::rpc::Method;
/// use daa_net::rpc::prost::Message;
///
/// #[derive(Clone, PartialEq, Message)]
/// struct Pair {
///     #[prost(string, tag = "1")]
///     symbol: String,
/// }
///
/// #[derive(Clone, PartialEq, Message)]
/// struct Price {
///     #[prost(uint64, tag = "1")]
///     units: u64,
/// }
///
/// /// What something costs now.
/// struct GetPrice;
///
/// impl Method for GetPrice {
///     const NAME: &'static str = "prices/get/1";
///     type Request = Pair;
///     type Response = Price;
/// }
/// ```
pub trait Method: 'static {
    /// Its name, with the version of its messages at the end; at most 64 bytes.
    const NAME: &'static str;
    /// What is asked.
    type Request: prost::Message + Default + 'static;
    /// What is answered.
    type Response: prost::Message + Default + 'static;
}
