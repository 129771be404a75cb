/* What <QObject> defines, without QT_NO_KEYWORDS. */
#define signals public
#define slots
#define emit
#define foreach(item, list) for (item : list)
#define forever for (;;)
