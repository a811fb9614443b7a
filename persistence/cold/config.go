package cold

import (
	"errors"
	"fmt"
	"time"
)

// Config is the settings of the cold store.
type Config struct {
	// TTLDays is after how many days since their arrival rows are deleted; 0 keeps them.
	TTLDays int `yaml:"ttl_days" min:"0" max:"36500" doc:"Days after their arrival at which archived rows are deleted; 0 keeps them for ever."`
	// Path is the directory; "" with S3.
	Path string   `yaml:"path" doc:"Directory of the cold store; empty is cold/ inside node.data_dir. Not with s3."`
	S3   S3Config `yaml:"s3" doc:"Bucket of an S3 service, in place of a directory."`
	// CheckpointEvery is the number of manifest records after which they are summed
	// up in one.
	CheckpointEvery int `yaml:"checkpoint_every" doc:"Manifest records after which they are summed up in one object."`
	// JoinFiles is how many files of a stream and day become one, at least; 0 leaves
	// them. JoinRows is how many rows such a file has at most.
	JoinFiles int   `yaml:"join_files" doc:"Files of one stream and day that are joined to one, at least so many; 0 leaves them as they are."`
	JoinRows  int64 `yaml:"join_rows" doc:"Rows that a joined file has at most."`
	// SweepAfter is the age at which a file that nothing lists is removed: an archiver
	// that is about to list it may take so long.
	SweepAfter time.Duration `yaml:"sweep_after" doc:"Age at which a file is removed that an interrupted archive has left; an archive must list a file within it."`
	// VerifyBytes is how much of a directory each turn of upkeep reads to compare
	// checksums; 0 is nothing. The objects of an S3 service are that service's to check.
	VerifyBytes int64 `yaml:"verify_bytes" doc:"Bytes that each upkeep reads of a directory to compare checksums, file after file; 0 compares none. Not with s3, whose service does it."`
	// OpenFiles is how many files stay open when nobody reads them.
	OpenFiles int `yaml:"open_files" doc:"Files that stay open when nobody reads them."`
	// Grace is how long a file stays after it has left the manifest.
	Grace time.Duration `yaml:"grace" doc:"How long a file stays readable after it has left the manifest."`
}

// S3Config says where a bucket is.
type S3Config struct {
	Endpoint  string `yaml:"endpoint" doc:"host:port of the S3 service; empty for a directory."`
	TLS       bool   `yaml:"tls" doc:"Whether the service is reached over TLS."`
	Region    string `yaml:"region" doc:"Region of the bucket, where the service has regions."`
	Bucket    string `yaml:"bucket" doc:"Name of the bucket, which must exist."`
	Prefix    string `yaml:"prefix" doc:"Path inside the bucket."`
	AccessKey string `yaml:"access_key" doc:"Access key of the service."`
	SecretKey string `yaml:"secret_key" secret:"true" doc:"Secret key of the service."`
}

// Used reports whether the cold store is on S3.
func (c S3Config) Used() bool { return c.Endpoint != "" }

// DefaultConfig is a directory.
func DefaultConfig() Config {
	return Config{S3: S3Config{TLS: true}, CheckpointEvery: 256, JoinFiles: 4, JoinRows: 4_000_000, SweepAfter: 24 * time.Hour, VerifyBytes: 1 << 30, OpenFiles: 256, Grace: 10 * time.Minute}
}

// Validate reports every setting that cannot be.
func (c Config) Validate() error {
	var errs []error
	if c.TTLDays < 0 || c.TTLDays > 36500 {
		errs = append(errs, fmt.Errorf("ttl_days: %d, allowed 0 to 36500", c.TTLDays))
	}
	if c.CheckpointEvery < 2 {
		errs = append(errs, fmt.Errorf("checkpoint_every: %d is below 2", c.CheckpointEvery))
	}
	if c.JoinFiles < 0 || c.JoinFiles == 1 || c.JoinFiles > joinFiles {
		errs = append(errs, fmt.Errorf("join_files: %d, allowed 0 or 2 to %d", c.JoinFiles, joinFiles))
	}
	if c.JoinRows < 1 {
		errs = append(errs, fmt.Errorf("join_rows: %d is below 1", c.JoinRows))
	}
	if c.SweepAfter < c.Grace {
		errs = append(errs, fmt.Errorf("sweep_after: %v is below grace (%v)", c.SweepAfter, c.Grace))
	}
	if c.VerifyBytes < 0 {
		errs = append(errs, fmt.Errorf("verify_bytes: %d is below 0", c.VerifyBytes))
	}
	if c.OpenFiles < 0 {
		errs = append(errs, fmt.Errorf("open_files: %d is below 0", c.OpenFiles))
	}
	if c.Grace < 0 {
		errs = append(errs, fmt.Errorf("grace: %v is below zero", c.Grace))
	}
	if c.S3.Used() {
		if len(c.S3.Bucket) < 3 {
			errs = append(errs, fmt.Errorf("s3.bucket: %q: want a name of at least 3 letters", c.S3.Bucket))
		}
		if c.S3.AccessKey == "" || c.S3.SecretKey == "" {
			errs = append(errs, errors.New("s3: access_key and secret_key are needed"))
		}
		if c.Path != "" {
			errs = append(errs, errors.New("path: not with s3"))
		}
	}
	return errors.Join(errs...)
}
