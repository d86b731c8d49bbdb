//! Speaks the OCI distribution protocol: credentials, pull, push.
