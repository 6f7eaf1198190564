//! What the consumers of a memory pool are called in messages.

/// Names of consumers, by the text that their registered names begin with, and what reduces their need. Registered names
/// end in the number of a partition, such as `ExternalSorter[3]`.
const NAMES: [(&str, &str); 16] = [
    ("ExternalSorter", "ORDER BY"),
    ("SortPreservingMergeExec", "the merge of sorted rows"),
    ("TopK", "ORDER BY with LIMIT"),
    ("PartitionedTopK", "ORDER BY with LIMIT"),
    ("HashJoinInput", "a hash join, which keeps one of its tables in memory"),
    ("CrossJoinExec", "a cross join, which keeps one of its tables in memory"),
    ("NestedLoopJoin", "a join without an equality, which keeps one of its tables in memory"),
    ("PiecewiseMergeJoin", "a join by an inequality, which keeps one of its tables in memory"),
    ("SymmetricHashJoin", "a join of streams"),
    ("SMJStream", "a sort-merge join, for the rows of one key"),
    ("RepartitionExec", "the exchange of rows between threads"),
    ("RecursiveQuery", "a recursive query"),
    ("ParquetSink", "the Parquet writer"),
    ("SortShuffleWriter", "the exchange of rows between executors"),
    ("AggregateStream", "an aggregation"),
    ("BufferExec", "a buffer of rows"),
];

/// What a consumer is called: the operation as users know it, or the registered name.
pub(super) fn describe(registered: &str) -> String {
    let name = registered.split('[').next().unwrap_or(registered);
    if name.contains("Aggregate") && name.contains("Stream") && name != "AggregateStream" {
        return "GROUP BY".to_owned();
    }
    match NAMES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        Some((_, description)) => (*description).to_owned(),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_have_the_names_of_sql() {
        for (registered, described) in [
            ("ExternalSorterMerge[3]", "ORDER BY"),
            ("FinalHashAggregateStream[1]", "GROUP BY"),
            ("GroupedHashAggregateStream[0] (count(1))", "GROUP BY"),
            ("AggregateStream[0]", "an aggregation"),
            ("HashJoinInput", "a hash join, which keeps one of its tables in memory"),
            ("pinned memory", "pinned memory"),
        ] {
            assert_eq!(describe(registered), described, "{registered}");
        }
    }
}
