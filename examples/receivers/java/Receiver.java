// Receives callbacks: checks the signature, drops duplicates, answers. Java 11 or newer, standard library alone.
//
//     WEBHOOK_SECRET=whsec_... PORT=9000 java Receiver.java

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Receiver {
    static final long TOLERANCE_S = 300;
    static final int MOST_BODY = 1024 * 1024;
    static final int REMEMBERED = 100_000;

    static final byte[] KEY = Base64.getDecoder().decode(System.getenv("WEBHOOK_SECRET").replaceFirst("^whsec_", ""));

    /** The ids of calls that came before. Yours belong into the database, in the transaction of what a call causes. */
    static final Map<String, Boolean> SEEN = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > REMEMBERED;
        }
    };

    static boolean isNew(String id) {
        synchronized (SEEN) {
            return SEEN.putIfAbsent(id, true) == null;
        }
    }

    static String field(Headers headers, String name) {
        String value = headers.getFirst(name);
        return value == null ? "" : value;
    }

    /** Whether we were sent this, unchanged, within the last minutes. */
    static boolean isGenuine(Headers headers, byte[] body) throws GeneralSecurityException {
        String id = field(headers, "webhook-id");
        String timestamp = field(headers, "webhook-timestamp");
        if (id.isEmpty() || !timestamp.matches("[0-9]{1,15}")) {
            return false;
        }
        if (Math.abs(System.currentTimeMillis() / 1000 - Long.parseLong(timestamp)) > TOLERANCE_S) {
            return false;
        }
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(KEY, "HmacSHA256"));
        mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
        byte[] right = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes(StandardCharsets.UTF_8);
        // There are two while a secret is being replaced: one that fits is enough.
        for (String given : field(headers, "webhook-signature").split(" ")) {
            if (MessageDigest.isEqual(right, given.getBytes(StandardCharsets.UTF_8))) { // in constant time
                return true;
            }
        }
        return false;
    }

    static int receive(HttpExchange call) throws IOException, GeneralSecurityException {
        if (!call.getRequestMethod().equals("POST")) {
            return 405;
        }
        byte[] body = call.getRequestBody().readNBytes(MOST_BODY + 1);
        if (body.length > MOST_BODY) {
            return 413;
        }
        if (!isGenuine(call.getRequestHeaders(), body)) {
            return 401;
        }
        if (isNew(field(call.getRequestHeaders(), "webhook-id"))) {
            System.out.println(new String(body, StandardCharsets.UTF_8)); // here your work begins; keep it short
        }
        return 200;
    }

    static void serve(HttpExchange call) throws IOException {
        int status;
        try {
            status = receive(call);
        } catch (GeneralSecurityException impossible) {
            status = 500;
        }
        // 9bits callbacks count only with this body; the others do not mind.
        byte[] body = ("{\"status\":" + status + "}").getBytes(StandardCharsets.UTF_8);
        call.getResponseHeaders().set("Content-Type", "application/json");
        call.sendResponseHeaders(status, body.length);
        call.getResponseBody().write(body);
        call.close();
    }

    public static void main(String[] arguments) throws IOException {
        String port = System.getenv().getOrDefault("PORT", "9000");
        InetAddress here = InetAddress.getLoopbackAddress();
        HttpServer server = HttpServer.create(new InetSocketAddress(here, Integer.parseInt(port)), 128);
        server.createContext("/", Receiver::serve);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
        System.out.println("listening on http://127.0.0.1:" + server.getAddress().getPort());
    }
}
