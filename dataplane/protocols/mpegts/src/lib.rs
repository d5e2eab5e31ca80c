//! MPEG-2 transport stream (ISO/IEC 13818-1): packet views, re-alignment, built-in test source, sans-IO.
