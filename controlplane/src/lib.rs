//! The control process of bilbycast-edge: REST API, configuration, reconciliation with the data plane.
