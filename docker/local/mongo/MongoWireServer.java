import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
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

    public static void main(String[] arguments) {
        MVStore store = new MVStore.Builder().fileName(arguments[2]).open();
        H2Backend backend = new CommittingBackend(store);
        MongoServer server = new MongoServer(backend);
        server.bind(arguments[0], Integer.parseInt(arguments[1]));
        System.out.println("Listening on " + server.getConnectionString());
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
    }
}
