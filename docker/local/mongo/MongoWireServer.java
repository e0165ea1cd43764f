import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.h2.H2Database;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import io.netty.channel.Channel;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.h2.mvstore.MVStore;

/** A MongoDB-wire server on one file: java -cp 'lib/*' MongoWireServer.java HOST PORT FILE. */
public final class MongoWireServer {

    /** What drivers are told; the library's own answers are too old for pymongo. */
    private static final MongoVersion VERSION = new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    };

    /**
     * Commits before it answers, so that an acknowledged write survives kill -9, and holds on to
     * what a command reads: the store moves pages in the background, and drops the old ones under
     * a reader that has not registered ("Chunk 231 not found", h2database issue 4218).
     */
    private static final class CommittingBackend extends H2Backend {
        private static final Set<String> READS = Set.of(
            "hello", "ismaster", "ping", "buildinfo", "find", "getmore", "count", "distinct",
            "killcursors", "listcollections", "listdatabases", "listindexes", "endsessions",
            "serverstatus", "getparameter", "connectionstatus", "hostinfo", "saslstart");

        private final MVStore store;

        CommittingBackend(MVStore store) {
            super(store);
            this.store = store;
            version(VERSION);
        }

        @Override
        protected MongoDatabase openOrCreateDatabase(String name) {
            // The constructor of the base opens what is there, before this class has its fields.
            return new H2Database(name, getMvStore(), getCursorRegistry()) {
                @Override
                protected Index<Object> openOrCreateUniqueIndex(
                        String collection, String index, List<IndexKey> keys, boolean sparse) {
                    Index<Object> found =
                        super.openOrCreateUniqueIndex(collection, index, keys, sparse);
                    return index.equals("_id_") ? new IdIndex(found) : found;
                }
            };
        }

        @Override
        public Document handleCommand(Channel channel, String database, String command, Document query) {
            MVStore.TxCounter reading = store.registerVersionUsage();
            try {
                return super.handleCommand(channel, database, command, query);
            } finally {
                store.deregisterVersionUsage(reading);
                commitAfter(command);
            }
        }

        @Override
        public Document handleMessage(MongoMessage message) {
            MVStore.TxCounter reading = store.registerVersionUsage();
            try {
                return super.handleMessage(message);
            } finally {
                store.deregisterVersionUsage(reading);
                commitAfter(message.getDocument().keySet().iterator().next());
            }
        }

        private void commitAfter(String command) {
            if (!READS.contains(command.toLowerCase(Locale.ROOT))) {
                commit();
            }
        }
    }

    /**
     * Takes part where a query asks for more than the id, as every compare-and-set does; the
     * library would read the whole collection. It checks what an index finds against all of the
     * query anyway.
     */
    private static final class IdIndex extends Index<Object> {
        private static final String ID = "_id";

        private final Index<Object> index;

        IdIndex(Index<Object> index) {
            super(index.getName(), index.getKeys(), false);
            this.index = index;
        }

        private static Document narrow(Document query) {
            return new Document(ID, query.get(ID));
        }

        @Override
        public boolean canHandle(Document query) {
            return query.containsKey(ID) && index.canHandle(narrow(query));
        }

        @Override
        public Iterable<Object> getPositions(Document query) {
            return index.getPositions(narrow(query));
        }

        @Override
        public Object getPosition(Document document) {
            return index.getPosition(document);
        }

        @Override
        public void checkAdd(Document document, MongoCollection<Object> collection) {
            index.checkAdd(document, collection);
        }

        @Override
        public void add(Document document, Object position, MongoCollection<Object> collection) {
            index.add(document, position, collection);
        }

        @Override
        public Object remove(Document document) {
            return index.remove(document);
        }

        @Override
        public void checkUpdate(
                Document before, Document after, MongoCollection<Object> collection) {
            index.checkUpdate(before, after, collection);
        }

        @Override
        public void updateInPlace(
                Document before, Document after, Object position, MongoCollection<Object> collection) {
            index.updateInPlace(before, after, position, collection);
        }

        @Override
        public boolean isUnique() {
            return index.isUnique();
        }

        @Override
        public long getCount() {
            return index.getCount();
        }

        @Override
        public long getDataSize() {
            return index.getDataSize();
        }

        @Override
        public void drop() {
            index.drop();
        }
    }

    public static void main(String[] arguments) {
        MVStore store = new MVStore.Builder().fileName(arguments[2]).open();
        H2Backend backend = new CommittingBackend(store);
        MongoServer server = new MongoServer(backend);
        server.bind(arguments[0], Integer.parseInt(arguments[1]));
        System.out.println("Listening on " + server.getConnectionString());
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    }
}
