//! The same files on a cluster: the executors read them as the session would.

use std::fs;
use std::path::Path;

use tempfile::tempdir;
use warpframe::Session;
use warpframe::cluster::LocalCluster;

use super::query;

#[tokio::test(flavor = "multi_thread")]
async fn executors_read_files_as_the_session_does() {
    let folder = tempdir().unwrap();
    let at = folder.path();
    let quoted = (0..2000).map(|id| format!("{id},\"a\n7,7,\"\n"));
    fs::write(at.join("quoted.csv"), format!("id,s\n{}", quoted.collect::<String>())).unwrap();
    let plain = (0..2000).map(|id| format!("{id};'{id};'\n"));
    fs::write(at.join("plain.csv"), format!("id;s\n{}", plain.collect::<String>())).unwrap();
    fs::create_dir_all(at.join("several/m=01")).unwrap();
    for (file, text) in [("a.csv", "id,s,v\n1,,1.5\n2,\"\",2\n"), ("b.csv", "v,id,s\n3.5,3,x\n")] {
        fs::write(at.join("several/m=01").join(file), text).unwrap();
    }
    fs::write(at.join("several/_SUCCESS"), "").unwrap();
    fs::write(at.join("late.csv"), "id,v\n1,1\n2,2\n3,2.5\n").unwrap();
    let faulty = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/parquet-testing");

    let cluster = LocalCluster::start_in_process(2.try_into().unwrap()).await.unwrap();
    let session = Session::builder().cluster(cluster.settings()).build().unwrap();
    session.sql("SET datafusion.optimizer.repartition_file_min_size = 1").await.unwrap();
    for (name, path) in [("quoted", "quoted.csv"), ("several", "several")] {
        session.register_files(name, &at.join(path).to_string_lossy()).await.unwrap();
    }
    for name in ["repeated_no_annotation", "dict-page-offset-zero"] {
        let file = faulty.join(format!("{name}.parquet"));
        session.register_files(&name.replace('-', "_"), &file.to_string_lossy()).await.unwrap();
    }
    let location = at.display();
    let plain = format!(
        "CREATE EXTERNAL TABLE plain STORED AS CSV LOCATION '{location}/plain.csv' \
         OPTIONS ('format.delimiter' ';', 'format.quote' '''', 'format.has_header' 'true')"
    );
    let late = format!(
        "CREATE EXTERNAL TABLE late STORED AS CSV LOCATION '{location}/late.csv' \
         OPTIONS ('format.schema_infer_max_rec' '2')"
    );
    session.run_script(&format!("{plain}; {late}")).await.unwrap();
    for (text, rows) in [
        ("SELECT count(*), sum(id), sum(id * 2.0) FROM quoted", vec!["2000,1999000,3998000.0"]),
        ("SELECT count(*), sum(id), count(DISTINCT s), max(s) FROM plain", vec!["2000,1999000,2000,9;"]),
        (
            "SELECT id, s IS NULL, length(s), v, m FROM several WHERE m = 1 ORDER BY id",
            vec!["1,true,NULL,1.5,1", "2,false,0,2.0,1", "3,false,1,3.5,1"],
        ),
        ("SELECT count(*), sum(id) FROM repeated_no_annotation", vec!["6,21"]),
        ("SELECT count(l_partkey), sum(l_partkey) FROM dict_page_offset_zero", vec!["39,60528"]),
    ] {
        assert_eq!(query(&session, text).await.unwrap(), rows, "{text}");
    }
    let error = query(&session, "SELECT sum(v) FROM late").await.unwrap_err().find_root().to_string();
    assert!(error.contains("late.csv") && error.contains("line 4: the value '2.5'"), "{error}");
    let copy = format!("COPY (SELECT id, s FROM several) TO '{location}/copy.csv'");
    query(&session, &copy).await.unwrap();
    let copied = fs::read_to_string(at.join("copy.csv")).unwrap();
    let mut lines: Vec<_> = copied.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["1,", "2,\"\"", "3,x", "id,s"]);
}
