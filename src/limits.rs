//! Limits: one table for everything that is bounded; reaching a bound is an error that names it.

/// Bytes of a manifest, lock or configuration file that a person or tool wrote.
pub const TEXT_FILE_BYTES_MAX: u64 = 16 << 20;
/// Bytes of one file inside a source, package or release tree.
pub const FILE_BYTES_MAX: u64 = 2 << 30;
/// Bytes of all files of one source tree after unpacking.
pub const SOURCE_BYTES_MAX: u64 = 2 << 30;
/// Bytes of all files of one Debian package after unpacking.
pub const PACKAGE_BYTES_MAX: u64 = 4 << 30;
/// Entries of one tree.
pub const TREE_ENTRIES_MAX: usize = 1_000_000;
/// Bytes of a tree's listing that the store keeps; a longer one is read from the tree each time.
pub const LISTING_BYTES_MAX: usize = 256 << 20;
/// Directories on the way down to an entry.
pub const TREE_DEPTH_MAX: usize = 128;
/// Bytes of memory that one xz stream may ask for; level 6 needs 9 MiB, level 9 needs 65.
pub const XZ_MEMORY_BYTES_MAX: u64 = 256 << 20;
/// Bytes of what stands before an entry of a tar: its header, long names and extended attributes.
pub const TAR_HEAD_BYTES_MAX: u64 = 1 << 20;
/// Bytes of one path inside a tree.
pub const PATH_BYTES_MAX: usize = 4096;
/// Bytes of a hex package's tarball (the registry's own limit is 16 MiB; some mirrors allow more).
pub const HEX_TARBALL_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a hex package's contents after unpacking (the registry's own limit).
pub const HEX_CONTENTS_BYTES_MAX: u64 = 128 << 20;
/// Bytes of a registry's index document, before and after inflating.
pub const INDEX_BYTES_MAX: u64 = 256 << 20;
/// Bytes of a suite's index of files after inflating; today's have 150 MB.
pub const CONTENTS_BYTES_MAX: u64 = 2 << 30;
/// Bytes of one Debian package file.
pub const DEB_BYTES_MAX: u64 = 1 << 30;
/// Bytes of one downloaded source tarball.
pub const DOWNLOAD_BYTES_MAX: u64 = 2 << 30;
/// Bytes of everything in a bundle, after unpacking.
pub const BUNDLE_BYTES_MAX: u64 = 64 << 30;
/// Bytes of a git fetch.
pub const GIT_FETCH_BYTES_MAX: u64 = 4 << 30;
/// Times a request is made before its error counts.
pub const REQUEST_ATTEMPTS_MAX: u32 = 5;
/// Redirects that one request follows.
pub const REDIRECTS_MAX: u32 = 8;
/// Seconds that one body may take to arrive, so that a dripping server does not hold a build for ever.
pub const BODY_SECONDS_MAX: u64 = 3600;
/// Repositories inside one another, as submodules.
pub const SUBMODULE_DEPTH_MAX: usize = 8;
/// Downloads under way at once.
pub const DOWNLOADS_MAX: usize = 8;
/// Bytes of a step's log that are kept; later output replaces the middle.
pub const STEP_LOG_BYTES_MAX: u64 = 8 << 20;
/// Lines of a failed step's log that are shown.
pub const STEP_LOG_TAIL_LINES: usize = 40;
/// Sources in one lock.
pub const LOCK_SOURCES_MAX: usize = 10_000;
/// Plugins that plugins need to be installed, one within the other.
pub const PLUGIN_DEPTH_MAX: usize = 64;
/// Terms nested in one another in an Erlang term file.
pub const TERM_DEPTH_MAX: usize = 128;
/// Bytes of a term in the external format after inflating.
pub const EXTERNAL_TERM_BYTES_MAX: u64 = 256 << 20;
/// Bytes of one file that is looked into when two images are compared; of a larger one only its hash counts.
pub const COMPARED_BYTES_MAX: u64 = 64 << 20;
/// Files in one another (a zip in a tar in a gzip) that are looked into when two images are compared.
pub const COMPARED_DEPTH_MAX: usize = 8;
/// Bytes of address space that one process of a step may have: the same on every host.
pub const STEP_MEMORY_BYTES_MAX: u64 = 8 << 30;
/// Bytes that the disk must have left all the time a step runs: tools are known to end well on a full one.
pub const STEP_DISK_BYTES_MIN: u64 = 16 << 20;
/// Seconds that one step may take.
pub const STEP_WALL_S_MAX: u64 = 3600;
/// Bytes of one layer of an image, before and after compression.
pub const LAYER_BYTES_MAX: u64 = 16 << 30;
/// Members of an image file.
pub const IMAGE_MEMBERS_MAX: usize = 10_000;
/// Blobs of an image that are sent to a registry at once.
pub const UPLOADS_MAX: usize = 4;
/// Bytes of a registry's or an engine's answer that says how something went.
pub const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Milliseconds that a program may take to give a registry's credentials.
pub const CREDENTIALS_MS_MAX: u64 = 60_000;
/// Connections that `rebeam run` passes on at once.
pub const FORWARDED_MAX: usize = 512;
/// Milliseconds that a container engine may be silent while it loads an image.
pub const ENGINE_SILENCE_MS_MAX: u64 = 600_000;
/// Bytes of one command that a client of the streams sends, with all its arguments.
pub const STREAMS_REQUEST_BYTES_MAX: usize = 64 << 20;
/// Arguments of one command.
pub const STREAMS_ARGUMENTS_MAX: usize = 1 << 20;
/// Bytes of a command that is sent as a line, and of a line that announces a length.
pub const STREAMS_INLINE_BYTES_MAX: usize = 64 << 10;
/// Bytes of all keys and values together, bookkeeping included.
pub const STREAMS_STATE_BYTES_MAX: usize = 256 << 20;
/// Commands that wait for `EXEC`, and their bytes.
pub const STREAMS_QUEUED_MAX: usize = 100_000;
/// Bytes that wait for one client to read them.
pub const STREAMS_OUTPUT_BYTES_MAX: usize = 64 << 20;
/// Bytes that wait for a client that only listens: to channels, or to everything.
pub const STREAMS_LISTENER_BYTES_MAX: usize = 8 << 20;
/// Bytes that wait for all clients of the streams together.
pub const STREAMS_ALL_OUTPUT_BYTES_MAX: usize = 256 << 20;
/// Bytes of commands that have come in part, of all clients of the streams together.
pub const STREAMS_ALL_INPUT_BYTES_MAX: usize = 256 << 20;
/// Clients of the streams at once.
pub const STREAMS_CLIENTS_MAX: usize = 4096;
/// Channels and patterns that one client listens to.
pub const STREAMS_SUBSCRIPTIONS_MAX: usize = 10_000;
/// Seconds that one command to the streams may take from its first byte to its last.
pub const STREAMS_REQUEST_S_MAX: u64 = 60;
/// Seconds that a client may leave an answer lying without reading a byte of it.
pub const STREAMS_STALL_S_MAX: u64 = 30;
/// Bytes of a key file, or of a signature.
pub const KEY_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a file that is signed; it is held in memory meanwhile.
pub const SIGNED_BYTES_MAX: u64 = 2 << 30;
/// Bytes of a document about an image: a bill of materials, an attestation, an index of them.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
/// Documents about one image in a registry.
pub const DOCUMENTS_MAX: usize = 1_000;
/// Bytes of an image's index, manifest or configuration in a registry.
pub const MANIFEST_BYTES_MAX: u64 = 4 << 20;
/// Entries of an image's index in a registry.
pub const INDEX_ENTRIES_MAX: usize = 1_000;
/// Layers of an image from a registry.
pub const IMAGE_LAYERS_MAX: usize = 512;
/// Blobs of an image that are fetched from a registry at once.
pub const PULLS_MAX: usize = 4;
/// Bytes of a piece of a blob, for a registry that does not take it in one.
pub const CHUNK_BYTES: u64 = 16 << 20;
/// Bytes of the smallest piece that is tried where a registry finds larger ones too large.
pub const CHUNK_BYTES_MIN: u64 = 64 << 10;
/// Times that one upload in pieces is taken up where it broke.
pub const UPLOAD_RESUMES_MAX: u32 = 16;
/// Outputs of one step that a cache may name.
pub const CACHE_OUTPUTS_MAX: usize = 64;
/// Results that are brought to a cache at once.
pub const CACHE_OFFERS_MAX: usize = 4;
/// Bytes of a request's body to a service of the desk.
pub const WEB_BODY_BYTES_MAX: usize = 8 << 20;
/// Bytes of a request's head to a service of the desk.
pub const WEB_HEAD_BYTES_MAX: usize = 64 << 10;
/// Seconds in which a request's head has to have come.
pub const WEB_HEAD_S_MAX: u64 = 10;
/// Seconds in which an answer has to have begun, the request's body included.
pub const WEB_ANSWER_S_MAX: u64 = 30;
/// Seconds that a client of a web service may take none of its answer.
pub const WEB_STALL_S_MAX: u64 = 30;
/// Connections to one service of the desk at once.
pub const WEB_CONNECTIONS_MAX: usize = 512;
/// Services of one stack.
pub const SERVICES_MAX: usize = 64;
/// Bytes of documents that others index beside a stack's event log.
pub const INDEXED_BYTES_MAX: i64 = 256 << 20;
/// Bytes of one file of a service's log on one's desk.
pub const SERVICE_LOG_BYTES_MAX: u64 = 4 << 20;
/// Files of a service's log, the one that is written included.
pub const SERVICE_LOG_FILES: u32 = 3;
/// Bytes of what all services of a stack said last that are at hand for who follows it.
pub const SERVICES_SAID_BYTES_MAX: usize = 2 << 20;
/// Bytes of messages that the page remembers while somebody looks.
pub const PAGE_MESSAGES_BYTES_MAX: usize = 8 << 20;
/// Bytes of one payload that the page remembers.
pub const PAGE_PAYLOAD_BYTES_MAX: usize = 64 << 10;
/// Live views of the page that are open at once.
pub const PAGE_LIVES_MAX: usize = 64;
/// Entries of a stack's event log; the oldest go first.
pub const EVENTS_MAX: i64 = 200_000;
/// Bytes of their documents.
pub const EVENTS_BYTES_MAX: i64 = 128 << 20;
/// Things, channels and configurations for bootstrap of one stack, each.
pub const THINGS_MAX: u64 = 100_000;
/// Users of things.
pub const THINGS_USERS_MAX: u64 = 10_000;
/// Bytes of a name of a thing, channel or configuration.
pub const THINGS_NAME_BYTES_MAX: usize = 1024;
/// Bytes of a thing's key, and of a device's identifier and key for bootstrap.
pub const THINGS_KEY_BYTES_MAX: usize = 4096;
/// Bytes of metadata as JSON.
pub const THINGS_METADATA_BYTES_MAX: usize = 64 << 10;
/// Bytes of a configuration's content, and of each of its certificates.
pub const THINGS_CONTENT_BYTES_MAX: usize = 1 << 20;
/// Channels of one configuration.
pub const THINGS_CHANNELS_MAX: usize = 1000;
/// Devices that asked for a configuration and have none, of which the last are kept.
pub const THINGS_STRANGERS_MAX: u64 = 1000;
/// Bytes of a user's password.
pub const THINGS_PASSWORD_BYTES_MAX: usize = 1024;
/// Passwords that are hashed at once, for that is slow on purpose; so many more may wait.
pub const THINGS_HASHES_MAX: usize = 2;
/// Passwords that may wait to be hashed.
pub const THINGS_HASHES_WAITING_MAX: usize = 32;
/// Bytes of a pack of SenML that is normalised.
pub const SENML_PACK_BYTES_MAX: usize = 1 << 20;
/// Records of a pack of SenML.
pub const SENML_RECORDS_MAX: usize = 10_000;
/// Values in one another in a pack of SenML that is CBOR.
pub const SENML_DEPTH_MAX: usize = 16;
/// Normalised messages that are kept; the oldest go first.
pub const THINGS_MESSAGES_MAX: u64 = 1_000_000;
/// Bytes of normalised messages that are kept.
pub const THINGS_MESSAGES_BYTES_MAX: u64 = 256 << 20;
/// Normalised messages that one answer has.
pub const THINGS_READ_MAX: u64 = 10_000;
