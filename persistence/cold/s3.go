package cold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/marketprism/marketprism/persistence/part"
)

// s3 is a bucket of an S3 service, below a prefix.
type s3 struct {
	client         *minio.Client
	bucket, prefix string
}

// patience is how long the service may take to begin an answer.
const patience = 15 * time.Second

// NewS3 is the bucket of an S3 service. It asks the service whether the bucket is
// there; the error says when it is not, or cannot be asked.
func NewS3(ctx context.Context, c S3Config) (Bucket, error) {
	transport, err := minio.DefaultTransport(c.TLS)
	if err != nil {
		return nil, fmt.Errorf("cold store on S3: %w", err)
	}
	transport.ResponseHeaderTimeout = patience
	client, err := minio.New(c.Endpoint, &minio.Options{
		Creds: credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""), Secure: c.TLS, Region: c.Region, MaxRetries: 3, Transport: transport,
	})
	if err != nil {
		return nil, fmt.Errorf("cold store on S3: %w", err)
	}
	s := &s3{client: client, bucket: c.Bucket, prefix: strings.Trim(c.Prefix, "/")}
	found, err := client.BucketExists(ctx, c.Bucket)
	if err != nil {
		return nil, fmt.Errorf("cold store %s: %w", s, err)
	}
	if !found {
		return nil, fmt.Errorf("cold store %s: there is no such bucket", s)
	}
	return s, nil
}

func (s *s3) String() string {
	return "s3://" + path.Join(s.client.EndpointURL().Host, s.bucket, s.prefix)
}

func (s *s3) key(name string) string { return path.Join(s.prefix, name) }

// Create implements [Bucket], by a conditional write.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func (s *s3) Create(ctx context.Context, name string, data []byte) error {
	opts := minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true}
	opts.SetMatchETagExcept("*")
	_, err := s.client.PutObject(ctx, s.bucket, s.key(name), bytes.NewReader(data), int64(len(data)), opts)
	return s.fail("create", name, err)
}

// Put implements [Bucket].
func (s *s3) Put(ctx context.Context, name string, from *os.File, size int64) error {
	content := io.NewSectionReader(from, 0, size)
	_, err := s.client.PutObject(ctx, s.bucket, s.key(name), content, size, minio.PutObjectOptions{ContentType: "application/vnd.apache.parquet"})
	return s.fail("put", name, err)
}

// Get implements [Bucket].
func (s *s3) Get(ctx context.Context, name string) ([]byte, error) {
	o, err := s.client.GetObject(ctx, s.bucket, s.key(name), minio.GetObjectOptions{})
	if err != nil {
		return nil, s.fail("get", name, err)
	}
	defer func() { _ = o.Close() }() // only read from
	data, err := io.ReadAll(o)
	return data, s.fail("get", name, err)
}

// Open implements [Bucket].
func (s *s3) Open(ctx context.Context, name string) (part.Content, int64, error) {
	info, err := s.client.StatObject(ctx, s.bucket, s.key(name), minio.StatObjectOptions{})
	if err != nil {
		return nil, 0, s.fail("open", name, err)
	}
	return &object{ctx: ctx, s: s, name: name, size: info.Size}, info.Size, nil
}

// object is an object that is read in pieces, each with a request of its own: after
// a failure the next one may succeed.
type object struct {
	ctx  context.Context // of the store
	s    *s3
	name string
	size int64
}

// ReadAt implements io.ReaderAt.
func (o *object) ReadAt(b []byte, at int64) (int, error) {
	want := b[:max(0, min(int64(len(b)), o.size-at))]
	if len(want) == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	if len(b) == 0 {
		return 0, nil
	}
	var opts minio.GetObjectOptions
	if err := opts.SetRange(at, at+int64(len(want))-1); err != nil {
		return 0, o.s.fail("read", o.name, err)
	}
	core := minio.Core{Client: o.s.client}
	body, _, _, err := core.GetObject(o.ctx, o.s.bucket, o.s.key(o.name), opts)
	if err != nil {
		return 0, o.s.fail("read", o.name, err)
	}
	defer func() { _ = body.Close() }() // only read from
	n, err := io.ReadFull(body, want)
	switch {
	case err != nil: // too short is a connection that was cut
		return n, o.s.fail("read", o.name, fmt.Errorf("%d of %d bytes: %w", n, len(want), err))
	case len(want) < len(b):
		return n, io.EOF
	}
	return n, nil
}

// Close implements io.Closer: there is nothing open.
func (o *object) Close() error { return nil }

// List implements [Bucket].
func (s *s3) List(ctx context.Context, prefix string) ([]Object, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing that an error leaves
	key := s.key(prefix)
	if key != "" && (prefix == "" || strings.HasSuffix(prefix, "/")) {
		key += "/" // which the join has taken
	}
	var found []Object
	for o := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Prefix: key, Recursive: true}) {
		if o.Err != nil {
			return nil, s.fail("list", prefix, o.Err)
		}
		found = append(found, Object{Name: strings.TrimPrefix(strings.TrimPrefix(o.Key, s.prefix), "/"), Size: o.Size, Modified: o.LastModified})
	}
	slices.SortFunc(found, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// Tidy implements [Bucket]: uploads in pieces that nobody has completed, which cost as
// much as objects.
func (s *s3) Tidy(ctx context.Context, before time.Time) (n int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing that an error leaves
	below := s.key("")
	if below != "" {
		below += "/"
	}
	for up := range s.client.ListIncompleteUploads(ctx, s.bucket, below, true) {
		if up.Err != nil {
			return n, s.fail("list uploads", "", up.Err)
		}
		if !up.Initiated.Before(before) {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(up.Key, s.prefix), "/")
		core := minio.Core{Client: s.client}
		if err := s.fail("abort upload", name, core.AbortMultipartUpload(ctx, s.bucket, up.Key, up.UploadID)); err != nil && !errors.Is(err, ErrNotFound) {
			return n, err
		}
		n++
	}
	return n, nil
}

// Delete implements [Bucket].
func (s *s3) Delete(ctx context.Context, name string) error {
	err := s.fail("delete", name, s.client.RemoveObject(ctx, s.bucket, s.key(name), minio.RemoveObjectOptions{}))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// fail gives the service's answers their meaning.
func (s *s3) fail(op, name string, err error) error {
	if err == nil {
		return nil
	}
	switch minio.ToErrorResponse(err).StatusCode {
	case http.StatusPreconditionFailed, http.StatusConflict:
		return ErrExists
	case http.StatusNotFound:
		return ErrNotFound
	}
	return fmt.Errorf("%s %s/%s: %w", op, s, name, err)
}
