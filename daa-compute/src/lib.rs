//! Decentralised training: the round protocol, codecs, robust aggregation, replay verification.
