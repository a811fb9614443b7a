package cold

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// gateway is a real S3 server, one for all tests of the package.
var gateway struct {
	sync.Mutex
	config S3Config
	err    error
	cmd    *exec.Cmd
	exited chan struct{}
	made   int
}

func TestMain(m *testing.M) {
	code := m.Run()
	if gateway.cmd != nil {
		_ = gateway.cmd.Process.Kill() // a kill is how it ends
		<-gateway.exited
	}
	os.Exit(code)
}

// s3Bucket is a new bucket of a real S3 server. Where there is none the test is
// skipped with the reason, or fails when MARKETPRISM_REQUIRE_SERVERS is 1.
func s3Bucket(t *testing.T) Bucket {
	t.Helper()
	gateway.Lock()
	defer gateway.Unlock()
	if gateway.config.Endpoint == "" && gateway.err == nil {
		gateway.err = startGateway()
	}
	if gateway.err != nil {
		if os.Getenv("MARKETPRISM_REQUIRE_SERVERS") == "1" {
			t.Fatalf("no S3 server: %v", gateway.err)
		}
		t.Skipf("NOT TESTED AGAINST S3: %v", gateway.err)
	}
	gateway.made++
	c := gateway.config
	c.Bucket = fmt.Sprintf("bucket-%d", gateway.made)
	c.Prefix = "some/where"
	client, err := minio.New(c.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	b, err := NewS3(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func startGateway() error {
	out, err := exec.Command(filepath.Join("..", "..", ".ci", "versitygw")).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return err
	}
	dir, err := os.MkdirTemp("", "marketprism-s3-*")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil { // the server binds it a moment later
		return err
	}
	c := S3Config{Endpoint: address, AccessKey: "test", SecretKey: "testtesttest"}
	gateway.cmd = exec.Command(strings.TrimSpace(string(out)), "--port", address, "posix", dir)
	gateway.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+c.AccessKey, "ROOT_SECRET_KEY="+c.SecretKey)
	if err := gateway.cmd.Start(); err != nil {
		gateway.cmd = nil
		return err
	}
	gateway.exited = make(chan struct{})
	go func() {
		_ = gateway.cmd.Wait() // a kill is how it ends
		_ = os.RemoveAll(dir)
		close(gateway.exited)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for { // it is another process: asked until it answers
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			gateway.config = c
			return conn.Close()
		}
		select {
		case <-gateway.exited:
			return errors.New("the S3 server ended at once")
		case <-ctx.Done():
			return fmt.Errorf("the S3 server does not answer: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestNoSuchBucket(t *testing.T) {
	s3Bucket(t)
	c := gateway.config
	c.Bucket = "never-made"
	if _, err := NewS3(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no such bucket") || strings.Contains(err.Error(), c.SecretKey) {
		t.Errorf("%v", err)
	}
}
