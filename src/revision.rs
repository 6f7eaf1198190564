//! The revision of the sources that this program was built from.

use crate::cluster;

/// The first digits of the commit, `-dirty` after them if files had changed, or `unknown` without a repository.
pub(crate) const REVISION: &str = env!("WARPFRAME_GIT_REVISION");

/// Makes the clusters of this process refuse other revisions.
pub(crate) fn require_on_clusters() {
    cluster::set_revision(REVISION);
}
