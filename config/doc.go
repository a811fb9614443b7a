// Package config reads the configuration: it composes the Config types of the
// other packages and fills them from files, variables and flags. No package
// imports it but the wiring.
//
// # Order
//
// Later wins, setting by setting; a list is replaced as a whole:
//
//	built-in defaults
//	exchanges/<exchange>.yaml and services.yaml   -c, else ./config/services.yaml, else embedded
//	.env.<environment> beside it                  chosen by MARKETPRISM_ENV
//	environment variables                         MARKETPRISM_DATA_STORAGE_SERVICE__PORT=9080
//	flags
//	runtime                                       decided by the command, such as dev's port offset
//
// A variable names a path: its keys in upper case, - written _, joined by __. A
// list is comma-separated or JSON, a section is JSON. A secret has a twin
// NAME_FILE (in YAML: name_file) that names a file which holds it.
//
// Reading is strict. An unknown key, a wrong type, a value out of range and a
// failed check each become an Error with its place, and Load returns all of
// them at once. A key without a value (null) leaves the default.
//
// # For the author of a package with a Config
//
// A section is a struct. The engine reads its tags and asks its methods; a
// package needs nothing from here.
//
//	Port    int           `yaml:"port" min:"0" max:"65535" doc:"Port of the HTTP façade."`
//	Size    int64         `yaml:"size" unit:"bytes" min:"4KiB"`     // 1GiB, 512MiB, 1048576; a key that
//	                                                                 // ends in _bytes needs no unit tag
//	Delay   time.Duration `yaml:"delay" min:"1ms" max:"1s"`          // 250ms, 30s, 7d
//	Mode    string        `yaml:"mode" enum:"embedded,external"`
//	Kinds   []string      `yaml:"kinds" enum:"trade,ticker"`         // of each item
//	Limits  map[string]T  `yaml:"limits"`                            // free keys
//	TLS     *TLS          `yaml:"tls"`                               // optional: nil until given
//	Token   string        `yaml:"token" secret:"true"`               // or any string type with Reveal() string
//	Base    Base          `yaml:",inline"`
//	private int                                                      // no yaml tag: not a setting
//
// A type with UnmarshalText (a log level, an address, a symbol) reads itself;
// give it MarshalText too, so that it is shown as it is written.
//
// Methods of a section, all optional:
//
//	Validate() error   what tags cannot say: relations between settings. Return
//	                   errors.Join of one error a setting. An error names its
//	                   setting by the method Field() string, or by beginning
//	                   with "key: ", where key is the path below the section
//	                   (hot_storage.ttl_hours, tokens[2].name); wrapping with
//	                   "key: %w" adds to the path. The engine puts
//	                   file:line:column before it, and the value that was found
//	                   unless the message says it. An error that names no
//	                   setting belongs to the section. The engine asks every
//	                   nested section itself; a Validate may ask its parts too,
//	                   what is said twice is reported once.
//	SetDefaults()      (pointer receiver) defaults of a value that is made while
//	                   reading: an item of a list, a new key of a map, a pointer.
//
// The defaults of the whole tree are in Default. The commented defaults in
// services.yaml and exchanges/ are embedded, and a test holds them equal to
// Default. After a change of settings run `go generate ./config`, which
// publishes the JSON Schemas in schema/.
package config
