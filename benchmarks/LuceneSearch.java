import java.io.BufferedReader;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.document.BinaryDocValuesField;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StringField;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.BoostQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.Sort;
import org.apache.lucene.search.SortField;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.ByteBuffersDirectory;
import org.apache.lucene.util.BytesRef;

/** Lucene as pyserini's simple searcher sets it up: java LuceneSearch.java TEXTS QUERIES HITS. */
public class LuceneSearch {
  static final int HITS = 50;

  public static void main(String[] files) throws Exception {
    Analyzer analyzer = new EnglishAnalyzer();
    BM25Similarity similarity = new BM25Similarity(0.9f, 0.4f);
    ByteBuffersDirectory folder = new ByteBuffersDirectory();
    IndexWriterConfig config = new IndexWriterConfig(analyzer).setSimilarity(similarity);
    try (IndexWriter writer = new IndexWriter(folder, config);
        BufferedReader reader = Files.newBufferedReader(Path.of(files[0]), StandardCharsets.UTF_8)) {
      for (String line; (line = reader.readLine()) != null; ) {
        int tab = line.indexOf('\t');
        String id = line.substring(0, tab);
        Document document = new Document();
        document.add(new StringField("id", id, Field.Store.YES));
        document.add(new BinaryDocValuesField("id", new BytesRef(id)));
        document.add(new TextField("contents", line.substring(tab + 1), Field.Store.NO));
        writer.addDocument(document);
      }
      writer.forceMerge(1);
    }
    IndexSearcher searcher = new IndexSearcher(DirectoryReader.open(folder));
    searcher.setSimilarity(similarity);
    // Anserini's order: by score, then by id.
    Sort order = new Sort(SortField.FIELD_SCORE, new SortField("id", SortField.Type.STRING_VAL));
    try (PrintWriter writer = new PrintWriter(files[2], StandardCharsets.UTF_8);
        BufferedReader reader = Files.newBufferedReader(Path.of(files[1]), StandardCharsets.UTF_8)) {
      for (String line; (line = reader.readLine()) != null; ) {
        StringBuilder ids = new StringBuilder();
        for (ScoreDoc hit : searcher.search(query(analyzer, line), HITS, order).scoreDocs) {
          ids.append(ids.length() > 0 ? " " : "").append(searcher.doc(hit.doc).get("id"));
        }
        writer.println(ids);
      }
    }
  }

  /** A bag of words: each once, weighted by how often it stands there. */
  static BooleanQuery query(Analyzer analyzer, String text) throws Exception {
    Map<String, Integer> counts = new LinkedHashMap<>();
    try (TokenStream stream = analyzer.tokenStream("contents", text)) {
      CharTermAttribute term = stream.addAttribute(CharTermAttribute.class);
      stream.reset();
      while (stream.incrementToken()) {
        counts.merge(term.toString(), 1, Integer::sum);
      }
      stream.end();
    }
    BooleanQuery.Builder builder = new BooleanQuery.Builder();
    counts.forEach(
        (word, count) ->
            builder.add(
                new BoostQuery(new TermQuery(new Term("contents", word)), count),
                BooleanClause.Occur.SHOULD));
    return builder.build();
  }
}
