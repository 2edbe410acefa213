//! The door of rebeam.

fn main() {
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == "__room")
    {
        rebeam::sandbox::enter();
    }
}
