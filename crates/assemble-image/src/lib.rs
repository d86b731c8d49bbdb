//! OCI manifests, configs, indexes, layouts and archives as immutable values with canonical bytes.
