//! The packet process of bilbycast-edge.
