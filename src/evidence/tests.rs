//! What a key, a signature and an attestation promise.

use super::*;
