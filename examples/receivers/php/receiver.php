<?php
// Receives callbacks: checks the signature, drops duplicates, answers. PHP 8 or newer, no packages.
//
//     WEBHOOK_SECRET=whsec_... php -S 127.0.0.1:9000 receiver.php
//
// Or behind any web server. SEEN_DIR: where the ids of calls are kept (a directory of its own in the system's temporary
// one, unless told).
declare(strict_types=1);

const TOLERANCE_S = 300;
const MOST_BODY = 1024 * 1024;

/** Whether we were sent this, unchanged, within the last minutes. */
function is_genuine(string $key, string $id, string $timestamp, string $signatures, string $body): bool
{
    if ($id === '' || !preg_match('/^[0-9]{1,15}$/D', $timestamp)) {
        return false;
    }
    if (abs(time() - (int) $timestamp) > TOLERANCE_S) {
        return false;
    }
    $right = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // There are two while a secret is being replaced: one that fits is enough.
    foreach (explode(' ', $signatures) as $given) {
        if (hash_equals($right, $given)) { // in constant time
            return true;
        }
    }
    return false;
}

/** Whether this call did not come before. Yours belong into the database, in the transaction of what a call causes. */
function is_new(string $id): bool
{
    $directory = getenv('SEEN_DIR') ?: sys_get_temp_dir() . '/webhooks-seen';
    if (!is_dir($directory)) {
        @mkdir($directory, 0700, true);
    }
    $file = @fopen($directory . '/' . hash('sha256', $id), 'x'); // fails when it exists: one of two at once wins
    return $file !== false && fclose($file);
}

function answer(int $status): void
{
    http_response_code($status);
    header('Content-Type: application/json');
    echo json_encode(['status' => $status]); // 9bits callbacks count only with this body; the others do not mind
}

$key = base64_decode(preg_replace('/^whsec_/', '', (string) getenv('WEBHOOK_SECRET')), true);
$body = (string) file_get_contents('php://input', false, null, 0, MOST_BODY + 1);
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$signatures = $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '';

if (!$key) {
    answer(500); // WEBHOOK_SECRET: wanted whsec_ and Base64
} elseif ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    answer(405);
} elseif (strlen($body) > MOST_BODY) {
    answer(413);
} elseif (!is_genuine($key, $id, $timestamp, $signatures, $body)) {
    answer(401);
} else {
    if (is_new($id)) {
        file_put_contents('php://stdout', $body . "\n"); // here your work begins; keep it short, or queue it
    }
    answer(200);
}
